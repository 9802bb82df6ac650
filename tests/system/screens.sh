#!/bin/bash
# What people see in a real terminal: top, status, session show, explain, doctor at 80x24 and 120x40,
# as captured by tmux, beside tests/golden/NAME-WIDTHxHEIGHT. GOLDEN=write writes those anew. Then
# top's keys, sizes and ends.
# timeout: 300
# shellcheck disable=SC2154,SC2016
. "$(dirname "$0")/lib.sh"
need_root "screens"
command -v tmux >/dev/null || {
	skip "screens" "tmux is not installed; see make check-packages"
	exit 0
}
instance_new ""
instance_up "the instance starts"
tmux() { command tmux -S "$dir/tmux" -f /dev/null "$@"; }
trap 'tmux kill-server 2>/dev/null; finish' EXIT

# --- the terminal ---------------------------------------------------------------------------------------

screen() { tmux capture-pane -p -t "$1" 2>/dev/null; }
shows() { screen "$1" | grep -qE -- "$2"; }
# open_screen NAME WIDTH HEIGHT COMMAND…: of a shell, so that what is left of the terminal is seen.
open_screen() {
	local name=$1 width=$2 height=$3
	shift 3
	tmux new-session -d -s "$name" -x "$width" -y "$height" \
	    "export TERM=screen-256color LC_ALL=C.UTF-8 TZ=UTC ASH_SOCKET='$sock'; unset NO_COLOR; $*; echo \"ended \$?\"; exec cat"
}

# Figures, times, ids, pids, paths and what this host has are not what is compared, nor how far apart the
# columns stand.
volatile() {
	sed -E -e 's/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/ID/g' -e 's/[0-9a-f]{8}-[0-9a-f]{4}/ID/g' \
	    -e 's/20[0-9]{2}-[0-9]{2}-[0-9]{2}( [0-9]{2}:[0-9]{2}(:[0-9]{2})?)?/TIME/g' -e 's/[0-9]{2}:[0-9]{2}:[0-9]{2}/TIME/g' \
	    -e 's/[0-9]+(\.[0-9]+)? (ms|s|min|h|d)( [0-9]+ (s|min|h))?\b/SPAN/g' -e 's/\b[0-9]+m?[0-9]*s\b/SPAN/g' \
	    -e 's/[0-9]+(\.[0-9]+)? ([KMG]iB|B)\b/SIZE/g' -e "s,$dir,DIR,g" \
	    -e 's/(agentd|secretd|runnerd|schedd|dialer|control) +[0-9]+ /\1 PID /' -e 's/\b[0-9]{5,}\b/NUMBER/g' \
	    -e 's/^([a-z0-9-]+) +(ok|missing) +(yes|no) .*/\1 STATE NEEDED FOUND/' -e '/^Missing:/d' \
	    -e '/running|setup/s/ (-|[0-9]+\.[0-9]) / CPU /' -e 's/[█#]+/BAR/g' -e 's/ +/ /g' -e 's/ $//'
}
golden() { # NAME WIDTH HEIGHT of the screen named so
	local file=$root/tests/golden/$1-$2x$3
	screen "$1-$2" | volatile | sed -e :a -e '/^\n*$/{$d;N;ba' -e '}' >"$dir/golden"
	if [ "${GOLDEN:-}" = write ]; then
		mkdir -p "$root/tests/golden"
		cp "$dir/golden" "$file"
	fi
	if cmp -s "$dir/golden" "$file"; then ok "$1 at $2x$3 is as it was"; else
		fail "$1 at $2x$3 is as it was"
		diff "$file" "$dir/golden" | head -n 30 | sed 's/^/# /'
	fi
}

# --- what is shown --------------------------------------------------------------------------------------

# A name in the arguments of a call that would move the cursor, were it not cleaned.
mkdir -p "$dir/agents/asker"
cp "$BUILD/tests/mcp-server" "$BUILD/tests/mcp-call" "$dir/agents/asker/"
manifest=$(agent asker "cd '$dir/agents/asker'; ./mcp-call one__echo '{\"path\":\"/etc/\\u001b[2Jshadow\"}'" "mcp_servers:
  - {name: one, command: ./mcp-server, ask: ['ec*'], timeout: 600s}")
check "an agent that asks" ash agent install "$manifest"
install probe 'echo hello; exit 3' 'triggers: [{cron: "0 9 1 1 *"}]'
install sleeper 'sleep 1000'
ash agent run probe >/dev/null 2>&1
ash agent run sleeper --detach >/dev/null
ash agent run asker --detach >/dev/null
waits() { [ "$(ash --json pending | jq length)" -ge 1 ]; }
check "a call waits" eventually 20 waits

for size in '80 24' '120 40'; do
	read -r width height <<<"$size"
	open_screen "top-$width" "$width" "$height" "$BUILD/ash" top
	check "top at $size shows sessions, calls and fires" eventually 20 eval \
	    'shows top-$width "sleeper +running +[0-9.]+" && shows top-$width one__echo && shows top-$width "0 9 1 1"'
	golden top "$width" "$height"
	for command in status 'session show probe@latest' 'explain sleeper' doctor; do
		name=${command%% *}-$width
		open_screen "$name" "$width" "$height" "PAGER='sed -n 1,22p'" "$BUILD/ash" "$command"
		check "ash $command at $size ends" eventually 20 shows "$name" '^ended 0'
		golden "${command%% *}" "$width" "$height"
		tmux kill-session -t "$name"
	done
done

# --- sizes --------------------------------------------------------------------------------------------------
tmux resize-window -t top-80 -x 100 -y 30
check "top grows with its window" eventually 20 eval 'screen top-80 | tail -n 1 | grep -q "q quit" && [ "$(screen top-80 | wc -l)" -eq 30 ]'
tmux resize-window -t top-80 -x 40 -y 8
check "says so when there is too little room" eventually 20 shows top-80 'too small: 40x8'
tmux send-keys -t top-80 a
tmux resize-window -t top-80 -x 60 -y 10
check "and is there again with enough" eventually 20 shows top-80 'SESSION +AGENT'
is "what could not be seen was not asked" "$(screen top-80 | grep -c 'Approve this')" 0
tmux resize-window -t top-80 -x 80 -y 24

# --- keys -----------------------------------------------------------------------------------------------------
tmux send-keys -t top-80 h
check "h helps" eventually 20 shows top-80 'any key: back'
tmux send-keys -t top-80 x
check "any key goes back" eventually 20 shows top-80 'q quit'
for order in cpu memory agent age; do
	tmux send-keys -t top-80 s
	check "s sorts by $order" eventually 20 shows top-80 "by $order"
done
tmux send-keys -t top-80 Down Down Down
tmux send-keys -t top-80 a
check "a asks first, and shows the call" eventually 20 shows top-80 'Approve this call'
check "with its arguments" eventually 20 shows top-80 'etc/.*shadow'
tmux send-keys -t top-80 n
check "any key but y is a no" eventually 20 shows top-80 'one__echo'
check "and the call waits on" waits
tmux send-keys -t top-80 d
check "d asks too" eventually 20 shows top-80 'Deny this call'
tmux send-keys -t top-80 y
check "y denies it" eventually 20 eval '! waits'
check "and the call goes from the screen" eventually 20 eval '! shows top-80 "TO DECIDE"'
tmux send-keys -t top-80 Up Up Up
check "the session of the call ends" eventually 20 eval '! shows top-80 "^[0-9a-f-]{13} +asker"'
tmux send-keys -t top-80 c
check "c asks first" eventually 20 shows top-80 'Cancel this session'
tmux send-keys -t top-80 y
check "y cancels it" eventually 20 eval '[ "$(latest sleeper .outcome)" = cancelled ]'
check "and it goes from the screen" eventually 20 shows top-80 'No session is live'

# --- agentd dies ------------------------------------------------------------------------------------------------
kill -KILL "$agentd_pid"
wait "$agentd_pid" 2>/dev/null
check "top says that agentd is away" eventually 30 shows top-80 'agentd is away'
agentd_pid=''
instance_up "agentd starts again"
check "top goes on" eventually 30 eval '! shows top-80 "is away"'
ash agent run sleeper --detach >/dev/null
check "with what is new" eventually 30 shows top-80 'sleeper +running'

# --- the end ----------------------------------------------------------------------------------------------------
# drawer NAME: the process that draws, the child of the one that was called.
child() { tr ' ' '\n' <"/proc/$1/task/$1/children" | head -n 1; }
drawer() { child "$(child "$(tmux list-panes -t "$1" -F '#{pane_pid}')")"; }
tmux send-keys -t top-80 q
check "q ends it, with 0" eventually 20 shows top-80 '^ended 0'
is "and the screen is as it was" "$(screen top-80 | grep -c SESSION)" 0
for signal in TERM INT HUP; do
	open_screen "end-$signal" 80 24 "stty -a | grep -o ' -\\?icanon\\|-\\?echo ' | tr -d '\\n'; echo; $BUILD/ash top; code=\$?; stty -a | grep -o ' -\\?icanon\\|-\\?echo ' | tr -d '\\n'; (exit \$code)"
	check "top runs" eventually 20 shows "end-$signal" 'SESSION +AGENT'
	kill "-$signal" "$(drawer "end-$signal")"
	check "SIG$signal: it ends" eventually 20 shows "end-$signal" '^.*ended [0-9]+'
	is "SIG$signal: the terminal is as it was" "$(screen "end-$signal" | grep -c '^ icanon *echo')" 2
done
for signal in KILL SEGV; do
	open_screen "end-$signal" 80 24 "$BUILD/ash top; stty -a | grep -o ' -\\?icanon\\|-\\?echo ' | tr -d '\\n'; (exit 9)"
	check "top runs" eventually 20 shows "end-$signal" 'SESSION +AGENT'
	kill "-$signal" "$(drawer "end-$signal")"
	check "SIG$signal: it ends" eventually 20 shows "end-$signal" 'ended 9'
	like "SIG$signal: the terminal is given back all the same" "$(screen "end-$signal")" ' icanon *echo'
	is "SIG$signal: with its screen" "$(screen "end-$signal" | grep -c 'SESSION  ')" 0
done

# --- no terminal --------------------------------------------------------------------------------------------
status "top without a terminal" 2 ash top
like "says what else there is" "$err" 'ash status'
status "top and JSON" 2 ash --json top
open_screen color 80 24 "NO_COLOR=1 $BUILD/ash top"
check "top without colours" eventually 20 shows color 'SESSION +AGENT'
is "sends none" "$(tmux capture-pane -e -p -t color | grep -cE $'\e\\[([0-9;]*;)?3[0-7]m')" 0

# --- the pager ------------------------------------------------------------------------------------------------
open_screen pager 80 24 "PAGER='sed s/^/paged:/' $BUILD/ash agent list"
check "what may be long goes through the pager" eventually 20 shows pager '^paged:NAME'
open_screen nopager 80 24 "PAGER='sed s/^/paged:/' $BUILD/ash --no-pager agent list"
check "not with --no-pager" eventually 20 shows nopager '^NAME'
open_screen ashpager 80 24 "PAGER=false ASH_PAGER='sed s/^/mine:/' $BUILD/ash agent list"
check "ASH_PAGER is before PAGER" eventually 20 shows ashpager '^mine:NAME'
open_screen jsonpager 80 24 "PAGER='sed s/^/paged:/' $BUILD/ash --json agent list"
check "never with --json" eventually 20 shows jsonpager '^\['
like "and never into a pipe" "$(PAGER='sed s/^/paged:/' "$BUILD/ash" -s "$sock" agent list | head -n 1)" '^NAME'

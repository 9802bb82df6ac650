#!/bin/bash
# ash never hangs: with each daemon stopped (SIGSTOP), and with each daemon dead while agentd cannot
# start it anew, every command ends within its deadline, and what needs that daemon says its name and
# what to do.
# timeout: 900
# beside
# shellcheck disable=SC2154,SC2016
. "$(dirname "$0")/lib.sh"
need_root "deadlines"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
instance_start "webhooks: {listen: '127.0.0.1:$port'}"

manifest=$(agent other 'exit 0')
install probe 'echo hello'
install waiter 'trap "" TERM; while :; do sleep 1; done' 'lifecycle: {timeout_secs: 900, stop_grace: 120s}'
install hook 'exit 0' 'triggers: [{webhook: generic, secret: key}]'
printf value-of-a-key >"$dir/value"
printf data >"$dir/input"
printf value-of-a-key | ash secret set key >/dev/null
ash agent run probe >/dev/null
old=$(latest probe .id)
ash event emit some.thing --id one >/dev/null

# The longest that a command may take: the greeting, what control waits for, what ash adds. ash/connect.h
# and agentd/control/control.h.
limit=$((130 * factor))

# Every command of the table, as it is called, and the daemons that it cannot do without.
commands=(
	"runnerd|agent install $manifest --replace"
	'schedd runnerd|agent list'
	'runnerd|agent show probe'
	"|agent validate $manifest"
	'runnerd|agent remove nosuch'
	'schedd|agent run probe --detach'
	"runnerd|agent run probe --input $dir/input --detach"
	'schedd|agent pause probe'
	'schedd|agent resume probe'
	'schedd|session list'
	"schedd|session show $old"
	"schedd runnerd|session logs $old"
	"schedd|session cancel $old"
	"schedd|session wait $old"
	"schedd|session why $old"
	'schedd|schedule list'
	'schedd|schedule next probe'
	'schedd|event emit some.thing --id two'
	'schedd|event list'
	'schedd|event show one'
	'schedd|event replay one'
	"secretd|secret set key --from $dir/value"
	'secretd|secret restore key'
	'secretd|secret list'
	'secretd|secret remove nosuch'
	'secretd|secret grant key --agent probe'
	'secretd|secret revoke key --agent probe'
	'secretd|secret rotate-key'
	'secretd|secret unlock'
	"schedd runnerd|tool list $old"
	'runnerd|tool pin probe'
	'runnerd|tool diff probe'
	'runnerd|pending'
	'runnerd|approve 0123'
	'runnerd|deny 0123'
	'runnerd|home log probe'
	"runnerd|home diff probe $old"
	"runnerd|home rollback waiter $old"
	'|audit'
	'|audit verify'
	'schedd runnerd secretd|status'
	'runnerd|doctor'
	'runnerd|explain probe'
	'|ping'
	'|version'
	'|help'
)

one() { # NUMBER COMMAND…: its status, how long it took and what it said, in $dir/said/NUMBER
	local number=$1 began=$EPOCHREALTIME code=0 now
	shift
	timeout -k 5 "$limit" "$BUILD/ash" -s "$sock" "$@" >"$dir/said/$number.out" 2>"$dir/said/$number.err" </dev/null || code=$?
	now=$EPOCHREALTIME
	echo "$code $(((${now/./} - ${began/./}) / 1000))" >"$dir/said/$number"
}

# sweep DAEMON NAMES HOW: all commands at once while DAEMON is not to be had. NAMES: the names, as an
# extended regular expression, of whom the words may tell.
sweep() {
	local role=$1 names=$2 how=$3 i needs command words code took told late=() silent=() dumb=() longest=0 pids=()
	rm -rf "$dir/said"
	mkdir "$dir/said"
	for i in "${!commands[@]}"; do
		read -ra words <<<"${commands[i]#*|}"
		one "$i" "${words[@]}" &
		pids+=($!)
	done
	wait "${pids[@]}"
	for i in "${!commands[@]}"; do
		needs=" ${commands[i]%%|*} " command=${commands[i]#*|}
		read -r code took <"$dir/said/$i"
		told=$(cat "$dir/said/$i.out" "$dir/said/$i.err")
		[ "$took" -le "$longest" ] || longest=$took
		if [ "$code" -eq 124 ] || [ "$code" -ge 126 ]; then late+=("$command ($code)"); fi
		if [[ $needs == *" $role "* || $role == control && $needs != '  ' && $needs != *secretd* ]]; then
			case $code in
			1 | 6 | 125) ;;
			*) silent+=("$command ($code)") ;;
			esac
			[[ $told =~ $names ]] || dumb+=("$command: ${told:0:200}")
			[[ $told =~ restart|log|status|doctor ]] || dumb+=("$command, what to do: ${told:0:200}")
		elif [ "$code" -eq 6 ] && ! [[ $told =~ $names ]]; then
			dumb+=("$command: ${told:0:200}")
		fi
	done
	is "$role $how: every command ends" "${late[*]:-}" ""
	is "$role $how: what needs it fails with 6 or 1" "${silent[*]:-}" ""
	is "$role $how: and says who and what to do" "${dumb[*]:-}" ""
	note "$role $how: the longest took $longest ms"
}

running() { [ -n "$(daemon "$1")" ] && ash ping >/dev/null && [ "$(ash --json status | jq .healthy)" = true ]; }
named() { if [ "$1" = control ]; then echo agentd-control; else echo "$1"; fi; }

# --- stopped ------------------------------------------------------------------------------------------
check "the listener runs" eventually 20 daemon webhook
for role in control schedd runnerd secretd dialer webhook; do
	pid=$(daemon "$(named $role)")
	if [ -z "$pid" ]; then
		fail "$role runs"
		continue
	fi
	kill -STOP "$pid"
	sweep $role "$(named $role)" stopped
	kill -CONT "$pid"
	check "$role: all is well when it goes on" eventually 60 running "$(named $role)"
done

kill -STOP "$agentd_pid"
sweep agentd 'agentd' stopped
kill -CONT "$agentd_pid"
check "agentd: all is well when it goes on" eventually 60 running agentd-control

# --- dead, and nobody to start it anew ------------------------------------------------------------------
for role in control schedd runnerd secretd; do
	pid=$(daemon "$(named $role)")
	kill -STOP "$agentd_pid"
	kill -KILL "$pid"
	sweep $role "$(named $role)|agentd" dead
	kill -CONT "$agentd_pid"
	check "$role: it is started again" eventually 60 running "$(named $role)"
done

# --- what streams notices it -----------------------------------------------------------------------------
ash agent run waiter --detach >/dev/null
check "a session lives" eventually 20 eval '[ "$(latest waiter .state)" = running ]'
for command in 'session logs waiter@latest -f' 'session wait waiter@latest' 'audit -f' 'events' 'shutdown --drain'; do
	role=schedd
	[ "$command" = 'audit -f' ] || [ "$command" = events ] && role=control
	read -ra words <<<"$command"
	timeout -k 5 "$limit" "$BUILD/ash" -s "$sock" "${words[@]}" >"$dir/out" 2>"$dir/err" </dev/null &
	pid=$!
	check "ash $command is connected" eventually 20 eval '[ -s "$dir/out" ] || grep -q . "/proc/$pid/net/unix"'
	stopped=$(daemon "$(named $role)")
	kill -STOP "$stopped"
	code=0
	wait "$pid" || code=$?
	kill -CONT "$stopped"
	like "ash $command ends when $role stops" "$code" '^(6|125)$'
	like "and names it" "$(<"$dir/err")" "$(named $role)"
	[ "$command" = 'shutdown --drain' ] || check "all is well again" eventually 60 ash ping
done

status "agentd, dead" 0 instance_stop
for command in ping status 'session list' events 'agent run probe'; do
	read -ra words <<<"$command"
	code=0
	timeout "$limit" "$BUILD/ash" -s "$sock" "${words[@]}" >"$dir/out" 2>"$dir/err" </dev/null || code=$?
	like "ash $command without agentd" "$code" '^(6|125)$'
	like "says so, and what to do" "$(tr '\n' ' ' <"$dir/err")" 'agentd does not answer.*systemctl start agentd'
done

#!/bin/bash
# timeout: 180
# chaos.sh [SECONDS [SEED]]
#
# Sessions are asked for, cancelled and ended while daemons, keepers and agentd itself are killed,
# stopped and let go on at moments chosen by SEED. Then: every accepted session has ended, ran at
# most once, exactly once unless it was cancelled or its own keeper was killed, and nothing of any
# is left.
# shellcheck disable=SC2016,SC2154
. "$(dirname "$0")/lib.sh"
seconds=${1:-10}
RANDOM=${2:-$((SRANDOM % 32768))}
seed=${2:-$RANDOM}
RANDOM=$seed
note "$seconds s, seed $seed"

instance_start 'limits: {sessions: 8}
retention: {sessions: 1000000}'
agents=(one two three four)
for name in "${agents[@]}"; do
	install "$name" 'echo ran; echo $SCARAB_SESSION_ID >>$HOME/ran || exit 9; cat >/dev/null; case $SCARAB_SESSION_ID in *[0-7]) sleep 0.05 ;; esac' \
	    'concurrency: {queue_limit: 64}'
done
is "a session runs before" "$(ash agent run one)" ran
no_records() { [ -z "$(ls "$dir/state/sessions")" ]; }
eventually 5 no_records || fail "it leaves no record"
snapshot_take
mkdir "$dir/accepted" "$dir/cancelled" "$dir/hurt"

pause() { read -r -t "0.$(printf %03d $((RANDOM % $1)))" -u "$silence"; }
chance() { [ $((RANDOM % 100)) -lt "$1" ]; }

# The name of the file stands for the id; many of them run at once.
ask() {
	local name id
	RANDOM=$1
	name=${agents[RANDOM % 4]}
	if chance 30; then
		id=$(head -c $((RANDOM * 2)) /dev/zero | timeout 60 "$BUILD/ash" -s "$sock" agent run "$name" --detach --input - 2>>"$dir/asked")
	else
		id=$(timeout 60 "$BUILD/ash" -s "$sock" agent run "$name" --detach 2>>"$dir/asked")
	fi || return 0
	touch "$dir/accepted/$id"
	chance 15 || return 0
	touch "$dir/cancelled/$id"
	pause 100
	timeout 60 "$BUILD/ash" -s "$sock" session cancel "$id" >/dev/null 2>&1
}

# Without a process: the moment counts.
daemon_pids() {
	local role pid child
	pids=()
	while read -r role pid _; do
		[ "$role" = agentd ] || pids+=("$pid")
		[ "$role" = runnerd ] || continue
		read -r child _ <"/proc/$pid/task/$pid/children" && pids+=("$child")
	done <"$dir/run/agentd.pids"
} 2>/dev/null
keeper_pids() {
	local file pid
	pids=()
	for file in "$cgroup"/*/runtime/cgroup.procs; do
		while read -r pid; do pids+=("$pid"); done <"$file"
	done
} 2>/dev/null
pick() {
	"${1}_pids"
	[ ${#pids[@]} -gt 0 ] && pid=${pids[RANDOM % ${#pids[@]}]}
}
session_of() { sed -n 's|^0::.*/\([0-9a-f-]\{36\}\)/.*|\1|p' "/proc/$1/cgroup" 2>/dev/null; }

again() {
	instance_run || fail "agentd starts again"
}
kill_daemon() { pick daemon && kill -KILL "$pid" 2>/dev/null; }
kill_keeper() {
	local id
	pick keeper || return 0
	id=$(session_of "$pid")
	[ -z "$id" ] || touch "$dir/hurt/$id"
	kill -KILL "$pid" 2>/dev/null
}
stop_some() {
	local pid
	pick "$1" || return 0
	kill -STOP "$pid" 2>/dev/null
	pause 400
	kill -CONT "$pid" 2>/dev/null
}
kill_agentd() {
	kill "-$1" "$agentd_pid" 2>/dev/null
	wait "$agentd_pid" 2>/dev/null
	agentd_pid=''
	again
}
kill_all() {
	daemon_pids
	kill -KILL "$agentd_pid" "${pids[@]}" 2>/dev/null
	wait "$agentd_pid" 2>/dev/null
	agentd_pid=''
	again
}

end=$((SECONDS + seconds)) rounds=0 asks=0
while [ $SECONDS -lt $end ]; do
	rounds=$((rounds + 1))
	for ((few = RANDOM % 6; few > 0 && $(jobs -r | wc -l) < 16; few--)); do
		asks=$((asks + 1))
		ask $((seed + asks)) &
	done
	pause 50
	# Given up after too many deaths in a short time, as it should be.
	if ! kill -0 "$agentd_pid" 2>/dev/null; then
		wait "$agentd_pid"
		again
	fi
	case $((RANDOM % 20)) in
	[0-8]) kill_daemon ;;
	9) stop_some daemon ;;
	10) stop_some keeper ;;
	1[1-4]) kill_keeper ;;
	15) kill_agentd KILL ;;
	16) kill_agentd TERM ;;
	17) kill_all ;;
	*) pause 500 ;;
	esac
done
note "$rounds rounds, $(find "$dir/accepted" -type f | wc -l) sessions accepted"
kill -0 "$agentd_pid" 2>/dev/null || again
while [ "$(jobs -r | wc -l)" -gt 1 ]; do pause 100; done

# --- what became of them ---------------------------------------------------------------------------

all_ended() {
	ash --json session list --limit 100000 >"$dir/list" &&
	    [ -z "$(jq -r '.[] | select(.state != "ended") | .id' "$dir/list")" ]
}
check "every session ends" eventually 60 all_ended
jq -r '.[] | [.id, .outcome, .reason] | @tsv' "$dir/list" | sort >"$dir/ended"
cat "$dir"/state/homes/*/home/ran 2>/dev/null | sort >"$dir/ran"
is "no session ran twice" "$(uniq -d "$dir/ran")" ''
is "every session that ran is in the ledger" "$(comm -23 "$dir/ran" <(cut -f1 "$dir/ended"))" ''
is "every accepted session is in the ledger" "$(comm -23 <(ls "$dir/accepted") <(cut -f1 "$dir/ended"))" ''
wrong=''
while IFS=$'\t' read -r id outcome reason; do
	ran=$(grep -c "$id" "$dir/ran")
	case $outcome in
	success) [ "$ran" -eq 1 ] || wrong+="$id success, ran $ran times"$'\n' ;;
	cancelled) [ -e "$dir/cancelled/$id" ] || wrong+="$id cancelled by nobody: $reason"$'\n' ;;
	# Built again and again, it is given up: not for ever.
	lost) [ -e "$dir/hurt/$id" ] || [[ $reason == 'the sandbox was built '* && $ran -eq 0 ]] ||
		wrong+="$id lost, ran $ran times: $reason"$'\n' ;;
	*) [ -e "$dir/hurt/$id" ] || wrong+="$id $outcome, ran $ran times: $reason"$'\n' ;;
	esac
done <"$dir/ended"
is "every outcome is right" "$wrong" ''
while read -r id _; do
	[ -z "$id" ] || grep -h "$id" "$dir/agentd.log" | sed 's/^/# /'
done <<<"$wrong"
note "$(cut -f2 "$dir/ended" | sort | uniq -c | tr -s ' \n' ' ')"
is "a session runs after" "$(ash agent run one)" ran
# An input whose session ended while runnerd was away goes at the next introduction, once it is old.
find "$dir/state/sessions" -name input -exec touch -d '1 hour ago' {} +
pid=$(awk '$1 == "runnerd" { print $2 }' "$dir/run/agentd.pids")
kill -KILL "$pid"
eventually 10 ash agent list || fail "runnerd is started again"
check "no record of a session is left" eventually 10 no_records
settled_fds "nothing leaks"

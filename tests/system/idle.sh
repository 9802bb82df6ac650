#!/bin/bash
# Nobody wakes up while there is nothing to do: no daemon of an instance whose next fire is hours
# away runs at all, also beside a session that waits.
# shellcheck disable=SC2016,SC2154
. "$(dirname "$0")/lib.sh"
instance_new
gate_new
printf 'ceilings: {allowed_context: ["%s/gate"]}\n' "$dir" >>"$dir/agentd.yaml"
instance_up "the instance starts"

# What it waits for lies hours away, whenever this runs.
hour=$(date -u -d '+5 hours' +%H)
install later 'exit 0' "triggers: [{cron: '0 $hour * * *', timezone: UTC}, {every: 366d}, {at: 2100-01-01T00:00:00Z}, {event: nothing.*}]"
install once 'exit 0'
install held "echo started; $gate_wait exit 0" "$gate_context"
status "a session has run" 0 ash agent run once
status "the next fire is told" 0 ash schedule next later
like "hours away" "$out" " $hour:00:00"

# wakings: lines "ROLE PID COUNT", how often each process of the instance gave up a CPU or lost it:
# who did not run did neither.
wakings() {
	local pid role
	processes | while read -r pid role; do
		[[ $role =~ ^(agentd|agentd-control|schedd|secretd|runnerd|dialer|spawner|keeper|broker|init)$ ]] || continue
		printf '%s %s %s\n' "$role" "$pid" "$(cat "/proc/$pid/task/"*/status | awk '/ctxt_switches/ { n += $2 } END { print n }')"
	done
}
# What a command left to be done is over when nobody has run for a second.
rested() {
	local before
	before=$(wakings)
	read -r -t 1 -u "$silence"
	[ "$before" = "$(wakings)" ]
}
idle() { # TEXT SECONDS
	local before
	if ! eventually 30 rested; then
		fail "$1: somebody always runs"
		diff <(wakings) <(read -r -t 2 -u "$silence" || wakings) | sed 's/^/# /'
		return
	fi
	before=$(wakings)
	read -r -t "$2" -u "$silence"
	is "$1: nobody woke in $2 s" "$(wakings)" "$before"
	like "and schedd was looked at" "$before" '(^|[[:space:]])schedd [0-9]+ [1-9]'
}
idle "an instance that waits for a time" 5

gate_shut
id=$(ash agent run held --detach)
eventually 10 eval 'ash session logs "$id" | grep -q started' || fail "the session starts"
idle "beside a session that waits" 5
gate_open
status "it goes on" 0 ash session wait "$id"

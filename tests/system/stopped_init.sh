#!/bin/bash
# timeout: 60
# An init that is stopped hears neither STOP nor its channel's end: the deadline holds all the same,
# and nothing of the session is left.
# shellcheck disable=SC2154
. "$(dirname "$0")/lib.sh"
instance_start ""
install stuck 'echo up; exec sleep 1000' 'lifecycle: {timeout_secs: 2, stop_grace: 100ms}'
id=$(ash agent run stuck --detach)
up() { ash session logs "$id" | grep -q up; }
check "the session runs" eventually 10 up
find "$cgroup/$id/agent" -name cgroup.procs -exec cat {} + | while read -r pid; do
	[ "$(cat "/proc/$pid/comm")" != init ] || kill -STOP "$pid"
done
began=$EPOCHREALTIME
status "the deadline ends it" 124 \
    timeout -s KILL $((30 * factor)) "$BUILD/ash" -s "$sock" session wait "$id"
is "outcome" "$(ash --json session show "$id" | jq -r .outcome)" timed_out
took=$(((${EPOCHREALTIME/./} - ${began/./}) / 1000))
note "after $took ms"
is "its cgroup is gone" "$(ls -d "$cgroup/$id" 2>/dev/null)" ""
is "and its record" "$(ls "$dir/state/sessions")" ""

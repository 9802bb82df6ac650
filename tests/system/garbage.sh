#!/bin/bash
# A rogue client throws random bytes and descriptors at the operator socket: its connection ends,
# nobody else's; no daemon ends, no descriptor stays open, a live session does not notice.
# shellcheck disable=SC2154
. "$(dirname "$0")/lib.sh"
instance_new
gate_new
printf 'ceilings: {allowed_context: ["%s/gate"]}\n' "$dir" >>"$dir/agentd.yaml"
instance_up "the instance starts"
install waits "echo up; $gate_wait echo down" "$gate_context"
gate_shut
ash agent run waits >"$dir/waited" 2>&1 9>&- &
waiter=$!
check "a session runs" eventually 10 grep -q up "$dir/waited"
ash ping
snapshot_take
control=$(daemon agentd-control)
for seed in 1 2 3 4; do
	sent=$("$BUILD/tests/rogue" "$sock" 500 $seed) || fail "the rogue connects (seed $seed)"
	[ "${sent:-0}" -gt 400 ] || fail "the rogue sends (seed $seed): $sent"
done
status "ash works" 0 ash ping
is "control is the same process" "$(daemon agentd-control)" "$control"
settled "no descriptor stays open"

# Connections that say nothing keep nobody out; one user has a bounded number of them, so that a
# flood is refused to that user alone, and is over when it is over.
check "idle connections do not keep ash out" "$BUILD/tests/idle" "$sock" 50 "$BUILD/ash" -s "$sock" ping
"$BUILD/tests/idle" "$sock" 1000 /bin/true
check "a flood of them is over when it is over" eventually 5 ash ping
settled "they leave nothing"
gate_open
wait $waiter
is "the live session's client saw all of it" "$(tr '\n' ' ' <"$dir/waited")" "up down "
is "no daemon was restarted" "$(ash --json status | jq '[.daemons[].restarts] | add')" 0

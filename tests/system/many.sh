#!/bin/bash
# timeout: 300
# 500 sessions in a row and 64 at once leave the tree, cgroups, mount and network namespaces,
# descriptors and recorded ids as they were.
# shellcheck disable=SC2154
. "$(dirname "$0")/lib.sh"
instance_new 'limits: {sessions: 64, per_agent: 64, queue: 1000}'
gate_new
printf 'ceilings: {allowed_context: ["%s/gate"]}\n' "$dir" >>"$dir/agentd.yaml"
instance_up "the instance starts"
in_a_row=500
[ -z "${SANITIZE:-}" ] || in_a_row=100

install quick 'exit 0' 'home: {mode: none}
concurrency: {policy: allow, max: 64}'
ash agent run quick || fail "a first session"
no_sessions() { [ -z "$(ls "$dir/state/sessions")" ]; }
eventually 5 no_sessions
snapshot_take

wrong=0
for ((i = 0; i < in_a_row; i++)); do
	ash --quiet agent run quick || wrong=$((wrong + 1))
done
is "$in_a_row sessions in a row succeed" $wrong 0
settled "$in_a_row sessions in a row leave nothing"

# All 64 are in their agent at once, behind one gate.
install meets "echo here; $gate_wait echo gone" "$gate_context
home: {mode: none}
concurrency: {policy: allow, max: 64}"
snapshot_take
gate_shut
ids=()
for ((i = 0; i < 64; i++)); do
	ash agent run meets >"$dir/out.$i" 2>"$dir/err.$i" 9>&- &
	ids+=($!)
done
all_here() { [ "$(cat "$dir"/out.* | grep -c here)" -eq 64 ]; }
check "64 sessions at once all run" eventually 60 all_here
is "and are all live" "$(ash --json session list --state running | jq length)" 64
gate_open
wrong=0
for pid in "${ids[@]}"; do
	wait "$pid" || wrong=$((wrong + 1))
done
is "each of the 64 succeeds" $wrong 0
is "with its whole output" "$(cat "$dir"/out.* | sort | uniq -c | tr -s ' \n' ' ')" " 64 gone 64 here "
settled "64 sessions at once leave nothing"

ash --json session list >"$dir/list"
is "every session is in the ledger" "$(jq length "$dir/list")" $((in_a_row + 65))

#!/bin/bash
# timeout: 240
# A runnerd that dies is replaced by one that takes up what lives: the session stays itself, its
# log goes on over segments that changed meanwhile, it can be cancelled; what was in set-up is
# undone and built again; nothing is left.
# shellcheck disable=SC2016,SC2154
. "$(dirname "$0")/lib.sh"
instance_new
gate_new
printf 'ceilings: {allowed_context: ["%s/gate"]}\nlimits: {per_agent: 4}\n' "$dir" >>"$dir/agentd.yaml"
instance_up "the instance starts"

logged() { ash session logs "$id" | grep -q "$1"; }
state_is() { [ "$(ash --json session show "$id" | jq -r .state)" = "$1" ]; }
kill_runnerd() {
	local pid
	pid=$(daemon runnerd)
	kill -KILL "$pid"
	eventually 5 ended "$pid" && eventually 10 daemon runnerd
}
adopted() { grep -q "session=$id adopted" "$dir/agentd.log"; }

install worker "echo started; $gate_wait"' echo ended; exit 7' "$gate_context"

# --- live ---
gate_shut
id=$(ash agent run worker --detach)
eventually 10 logged started || fail "the session runs"
snapshot_take
kill_runnerd || fail "runnerd is started again"
check "the new runnerd adopts the session" eventually 5 adopted
is "it is running still" "$(ash --json session show "$id" | jq -r .state)" running
kill_runnerd || fail "runnerd is started again"
gate_open
status "its end is recorded" 7 ash session wait "$id"
is "its log is whole" "$(ash session logs "$id" | tr '\n' ' ')" "started ended "

gate_shut
id=$(ash agent run worker --detach)
eventually 10 logged started || fail "the session runs"
kill_runnerd || fail "runnerd is started again"
check "adopted again" eventually 5 adopted
status "cancel of an adopted session" 0 ash session cancel "$id"
status "ends it" 125 ash session wait "$id"
is "as cancelled" "$(ash --json session show "$id" | jq -r .outcome)" cancelled
gate_open

# --- the terms of its home ---
install keeps "echo kept >\$HOME/it; echo started; $gate_wait"' exit 3' "$gate_context"
gate_shut
id=$(ash agent run keeps --detach)
eventually 10 logged started || fail "the session runs"
install keeps 'exit 0' 'home: {on_failure: discard}'
kill_runnerd || fail "runnerd is started again"
check "a session whose agent is another by now is adopted" eventually 5 adopted
gate_open
status "it fails" 3 ash session wait "$id"
is "and its home is kept as it was to be when it began" "$(cat "$dir/state/homes/keeps/home/it" 2>&1)" kept

# --- the keeper ---
gate_shut
id=$(ash agent run worker --detach)
eventually 10 logged started || fail "the session runs"
kill -KILL "$(daemon keeper)"
status "a session without its keeper exits 125" 125 ash session wait "$id"
is "it is lost, and why is a word" "$(ash --json session show "$id" | jq -r '"\(.outcome) \(.reason)"')" "lost keeper"
gate_open
rm -f "$dir/snapshot.before"

# --- the log over segments ---
install talker 'i=0; while [ $i -lt 2400 ]; do printf "%s %16000d\n" line-$i 0; i=$((i + 1)); done; '": >\$HOME/half; $gate_wait"'
while [ $i -lt 3600 ]; do printf "%s %16000d\n" line-$i 0; i=$((i + 1)); done; echo last' "$gate_context
lifecycle: {timeout_secs: 100}"
gate_shut
id=$(ash agent run talker --detach)
eventually 5 test -e "$dir/log/talker/$id.jsonl" || fail "the log is there"
kill_runnerd || fail "runnerd is started again"
check "the talker is adopted while it talks" eventually 10 adopted
# Who comes to the gate after its last writer left would wait for ever. Its log may drop lines, and its
# home is in memory: seen with its own eyes.
at_half() { local pid; read -r pid <"$cgroup/$id/agent/cgroup.procs" && [ -e "/proc/$pid/root/home/agent/half" ]; }
eventually 60 at_half || fail "the talker comes to the gate"
gate_open
status "and ends" 0 ash session wait "$id"
show=$(ash --json session show "$id")
is "outcome success" "$(jq -r .outcome <<<"$show")" success
check "its last line is in the newest segment" grep -q '"text":"last"' "$dir/log/talker/$id.jsonl"
check "an older segment is kept" test -s "$dir/log/talker/$id.jsonl.1"
is "no segment is left open ahead" "$(find "$dir/log/talker" -name "$id.jsonl.next*" | wc -l)" 0

# --- in set-up ---
install quick 'exit 0' 'home: {mode: none}
concurrency: {max: 4}'
ash agent run quick >/dev/null
eventually 5 test -z "$(ls -A "$dir/state/sessions")"
snapshot_take
ids=()
for _ in 1 2 3; do
	for _ in 1 2 3 4 5 6 7 8; do ids+=("$(ash agent run quick --detach)"); done
	kill_runnerd || fail "runnerd is started again"
done
lost=0
for id in "${ids[@]}"; do ash session wait "$id" >/dev/null 2>&1 || lost=$((lost + 1)); done
is "every session ran to its end" "$lost" 0
settled_fds "nothing is left of all of them"
[ "$failed" -eq 0 ]

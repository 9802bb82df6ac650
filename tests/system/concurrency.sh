#!/bin/bash
# timeout: 240
# What becomes of one more session of an agent that runs already: policies queue, skip, replace and
# allow, of operators and triggers, across restarts of schedd and runnerd; limits; whose turn it is.
# shellcheck disable=SC2016,SC2154
. "$(dirname "$0")/lib.sh"
instance_new 'limits: {sessions: 3, per_agent: 2, queue: 60}'
gate_new
printf 'ceilings: {allowed_context: ["%s/gate"]}\n' "$dir" >>"$dir/agentd.yaml"
instance_up "the instance starts"

sessions() { ash --json session list --agent "$1"; }
state() { ash --json session show "$1" | jq -r '.state'; }
outcome() { ash --json session show "$1" | jq -r '.outcome'; }
runs() { [ "$(state "$1")" = running ]; }
# counts AGENT: of its sessions that wait, and that live.
counts() { sessions "$1" | jq -c '[map(select(.state == "queued")), map(select(.state == "setup" or .state == "running"))] | map(length)'; }
kill_one() {
	local pid
	pid=$(daemon "$1")
	kill -KILL "$pid"
	is_new() { [ "$(daemon "$1")" != "$pid" ] && ash ping && ash session list; }
	eventually 20 is_new "$1" || fail "$1 comes back"
}
waits="trap 'exit 0' TERM; $gate_wait exit 0"
begin() { ash agent run "$1" --detach "${@:2}"; }

# --- queue ----------------------------------------------------------------------------------------
install queued "$waits" "$gate_context
concurrency: {queue_limit: 2}"
gate_shut
first=$(begin queued)
check "the first runs" eventually 20 runs "$first"
second=$(begin queued) third=$(begin queued)
status "queue_limit is a conflict for an operator: 125" 125 ash agent run queued
like "named" "$err" 'queue_limit is 2'
is "two wait" "$(counts queued)" "[2,1]"
kill_one schedd
kill_one runnerd
is "also after deaths of schedd and runnerd" "$(counts queued)" "[2,1]"
is "in order" "$(ash --json session show "$third" | jq .queue_position)" 2
gate_open
status "the first ends" 0 ash session wait "$first"
# The gate has no writer any more: the next stands at it until it is told to end.
check "the second starts" eventually 20 runs "$second"
is "and the third waits" "$(state "$third")" queued
ash session cancel "$third" >/dev/null
ash session cancel "$second" >/dev/null
ash session wait "$second" >/dev/null 2>&1

# --- skip -----------------------------------------------------------------------------------------
install skips "$waits" "$gate_context
concurrency: {policy: skip}
triggers: [{every: 1s}]"
gate_shut
live() { [ "$(counts skips)" = '[0,1]' ]; }
check "a trigger starts one" eventually 20 live
skipped_one() { sessions skips | jq -e 'map(select(.outcome == "skipped" and .trigger.kind == "every")) | length > 1'; }
check "the next times are recorded as skipped" eventually 20 skipped_one
status "so is a run: 125" 125 ash agent run skips
kill_one schedd
status "also after the death of schedd" 125 ash agent run skips
is "with the reason" "$(sessions skips | jq -r 'map(select(.trigger.kind == "manual"))[0].reason')" \
    'a session of this agent is there, concurrency.policy is skip'
is "one is live" "$(counts skips)" "[0,1]"
ash agent pause skips >/dev/null # the next would come to a gate that nobody shuts again
gate_open
none_live() { [ "$(counts skips)" = "[0,0]" ]; }
check "it ends" eventually 20 none_live
status "and the agent goes" 0 ash agent remove skips

# --- replace --------------------------------------------------------------------------------------
# One that is slow to end: the new one must wait for it.
install replaces 'trap "sleep 1; echo ended >>$HOME/order; exit 0" TERM; echo began >>$HOME/order; sleep 1000 & wait' \
    'concurrency: {policy: replace}
home: {mode: journal, on_failure: keep}'
old=$(begin replaces)
check "one runs" eventually 20 runs "$old"
new=$(begin replaces)
kill_one schedd
check "another takes its place" eventually 30 runs "$new"
is "the old one was cancelled" "$(ash --json session show "$old" | jq -r '.outcome + ", " + .reason')" "cancelled, replaced by session $new"
is "and had ended before the new one began" "$(jq -n --arg old "$(ash --json session show "$old" | jq -r .ended_at)" \
    --arg new "$(ash --json session show "$new" | jq -r .started_at)" '$old <= $new')" true
for _ in 1 2 3; do newest=$(begin replaces); done
check "of several the newest runs" eventually 30 runs "$newest"
is "alone" "$(counts replaces)" "[0,1]"
ash session cancel "$newest" >/dev/null
ash session wait "$newest" >/dev/null 2>&1
is "it was begun and ended in turn" "$(sort "$dir/state/homes/replaces/home/order" | uniq -c | awk '{print $1}' | sort -u | wc -l)" 1

# --- allow, limits, turns ---------------------------------------------------------------------------
install many "$waits" "$gate_context
home: {mode: none}
concurrency: {policy: allow, max: 10}"
install one 'exit 0'
install urgent 'exit 0' 'priority: 10'
gate_shut
for _ in {1..20}; do begin many >/dev/null; done
two_live() { [ "$(counts many)" = '[18,2]' ]; }
check "limits.per_agent holds" eventually 30 two_live
status "another agent's single session is not behind eighteen" 0 ash agent run one
fill=$(begin queued)
check "limits.sessions are taken" eventually 20 runs "$fill"
single=$(begin one) hurry=$(begin urgent)
is "one waits" "$(state "$single") $(state "$hurry")" "queued queued"
kill_one schedd
is "over a death of schedd" "$(state "$single") $(state "$hurry")" "queued queued"
ash session cancel "$fill" >/dev/null
status "a free slot is whose turn it is" 0 ash session wait "$single"
status "each in turn" 0 ash session wait "$hurry"
is "the higher priority first" "$(jq -n --arg a "$(ash --json session show "$hurry" | jq -r .started_at)" \
    --arg b "$(ash --json session show "$single" | jq -r .started_at)" '$a <= $b')" true
while [ "$(ash --json status | jq .queued)" -lt 60 ]; do begin many >/dev/null || break; done
status "limits.queue is a conflict: 125" 125 ash agent run many
like "named" "$err" 'limits.queue is 60'
ash agent pause many >/dev/null
gate_open
check "what lives ends, and nothing follows" eventually 30 eval '[[ "$(counts many)" = "["*",0]" ]]'
status "the agent is removed" 0 ash agent remove many
check "a removed agent's queue is gone" eventually 20 eval '[ "$(ash --json status | jq .queued)" = 0 ]'

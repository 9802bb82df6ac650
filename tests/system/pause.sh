#!/bin/bash
# timeout: 180
# An agent that is paused starts nothing: by an operator, after failures in a row, at the end of its
# day's runs. Who is paused stays so over restarts, and everybody is told why.
# shellcheck disable=SC2016,SC2154
. "$(dirname "$0")/lib.sh"
instance_new
gate_new
printf 'ceilings: {allowed_context: ["%s/gate"]}\n' "$dir" >>"$dir/agentd.yaml"
instance_up "the instance starts"

sessions() { ash --json session list --agent "$1"; }
is_running() { [ "$(latest "$1" .state)" = running ]; }
shown() { ash --json agent show "$1" | jq -r "$2"; }
daemon_pid() { ash --json status | jq -r ".daemons[] | select(.name == \"$1\") | .pid"; }

# --- by an operator --------------------------------------------------------------------------------
install worker "echo \$SCARAB_TASK; $gate_wait exit 0" "$gate_context"
install ticks 'exit 0' 'triggers: [{every: 1s}]
home: {mode: none}'
gate_shut
live=$(ash agent run worker --detach)
check "a session runs" eventually 20 is_running worker
waiting=$(ash agent run worker --detach --task later)
status "pausing" 0 ash agent pause worker
status "pausing what is paused" 0 ash agent pause worker
is "the agent says so" "$(shown worker '[.paused, .paused_by, .pause_reason] | tostring')" '[true,"root","by root"]'
like "the list too" "$(ash agent list)" 'worker.*paused'
like "and show" "$(ash agent show worker)" 'Paused.*by root'
is "another is not" "$(shown ticks '[.paused, .paused_at, .pause_reason] | tostring')" '[false,null,null]'
status "a run is skipped: 125" 125 ash agent run worker
like "with the reason" "$err" 'paused: by root'
is "and recorded" "$(latest worker '.outcome + ": " + .reason')" 'skipped: the agent is paused: by root'
like "why tells it" "$(ash session why worker@latest)" 'the agent is paused'
like "and what to do" "$(ash session why worker@latest)" 'Next: .*ash agent resume'
is "what runs goes on" "$(ash --json session show "$live" | jq -r .state)" running
like "what waited waits" "$(ash session why "$waiting")" 'waits in the queue: the agent is paused: by root'
gate_open
status "the live one ends" 0 ash session wait "$live"
is "the next does not start" "$(ash --json session show "$waiting" | jq -r .state)" queued
pid=$(daemon_pid schedd)
kill -KILL "$pid"
schedd_is_new() { ash ping && [ "$(daemon_pid schedd)" != "$pid" ]; }
check "schedd comes back" eventually 20 schedd_is_new
is "it is paused still" "$(shown worker .paused)" true
is "and what waits, waits" "$(ash --json session show "$waiting" | jq -r .state)" queued
install worker "echo \$SCARAB_TASK; exit 0"
is "a newer manifest changes nothing of that" "$(shown worker .paused)" true
status "resumed" 0 ash agent resume worker
status "what waited starts" 0 ash session wait "$waiting"
is "with its task" "$(ash session logs "$waiting")" later
status "and runs go on" 0 ash agent run worker
status "an agent that is not there: 3" 3 ash agent pause nobody
status "nobody named: 2" 2 ash agent pause
status "a name and --all: 2" 2 ash agent pause worker --all
audited() { ash --json audit --agent worker | jq "map(select(.action == \"$1\")) | length"; }
is "both are audited" "$(audited agent.pause) $(audited agent.resume)" "2 1"
is "with who did it" "$(ash --json audit --agent worker | jq -c '.[] | select(.action == "agent.resume") | [.uid, .pid > 1]')" '[0,true]'

# --- all ------------------------------------------------------------------------------------------
is "all are paused" "$(ash --json agent pause --all | jq -c .)" '{"agent":null,"paused":true,"changed":2}'
skipped() { [ "$(latest ticks .outcome)" = skipped ]; }
check "triggers of a paused agent are recorded as skipped" eventually 20 skipped
is "with the reason" "$(latest ticks .reason)" 'the agent is paused: by root'
is "all are resumed" "$(ash --json agent resume --all | jq -c .changed)" 2
goes_on() { [ "$(latest ticks .outcome)" = success ]; }
check "and fire again" eventually 20 goes_on
status "it is removed while it is paused" 0 ash agent pause ticks
ash agent remove ticks >/dev/null
install ticks 'exit 0'
is "installed anew, it is not paused" "$(shown ticks .paused)" false

# --- failures in a row --------------------------------------------------------------------------------
install breaks 'exit "$(cat $HOME/status 2>/dev/null || echo 3)"' 'budget: {max_tool_calls: 0}'
for n in 1 2 3 4; do status "failure $n" 3 ash agent run breaks; done
is "four are no reason" "$(shown breaks '[.paused, .failures] | tostring')" '[false,4]'
status "the fifth in a row" 3 ash agent run breaks
is "pauses the agent" "$(shown breaks '[.paused, .paused_by] | tostring')" '[true,null]'
like "saying why" "$(shown breaks .pause_reason)" 'it failed 5 times in a row.*failures_before_pause is 5.*last in session'
check "in the log" grep -q 'agent breaks is paused: it failed 5 times' "$dir/agentd.log"
is "and in the audit" "$(ash --json audit --agent breaks | jq -r '.[] | select(.action == "agent.pause") | .detail' | cut -c1-24)" "it failed 5 times in a r"
status "nothing of it starts" 125 ash agent run breaks
like "and why is told" "$err" 'it failed 5 times in a row'
status "resumed" 0 ash agent resume breaks
is "it begins anew" "$(shown breaks '[.paused, .failures] | tostring')" '[false,0]'
status "and runs" 3 ash agent run breaks

install once 'exit 1' 'budget: {failures_before_pause: 1}
retry: {max: 1, backoff: 10ms}'
status "attempts of one session" 1 ash agent run once
paused_once() { [ "$(shown once .paused)" = true ]; }
check "count as one failure, the last" eventually 20 paused_once
is "when all have failed" "$(sessions once | jq -c '[.[].attempt]')" '[2,1]'

# --- runs of a day --------------------------------------------------------------------------------
# Not over midnight.
if [ "$(date -u +%H:%M)" \> 23:57 ]; then
	skip "runs of a day" "midnight, UTC, is near"
else
	install daily 'exit 0' 'budget: {max_runs_per_day: 2}'
	status "the first of the day" 0 ash agent run daily
	status "the second" 0 ash agent run daily
	status "the third is skipped" 125 ash agent run daily
	like "saying why" "$err" 'budget.max_runs_per_day is 2'
	is "and recorded" "$(latest daily .outcome)" skipped
	is "runs are told" "$(shown daily .runs_today)" 2
	kill -KILL "$(daemon schedd)"
	eventually 20 ash ping
	status "also after a restart" 125 ash agent run daily
	install daily 'exit 0' 'budget: {max_runs_per_day: 3}'
	status "another manifest, another budget" 0 ash agent run daily
	status "of the same day" 125 ash agent run daily
fi

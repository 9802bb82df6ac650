#!/bin/bash
# timeout: 180
# The end of an agent's session starts the agents that wait for it: once, with what it was, across
# deaths, and two that wait for each other not for ever.
# shellcheck disable=SC2016,SC2154
. "$(dirname "$0")/lib.sh"
instance_new
instance_up "the instance starts"
sessions() { ash --json session list --agent "$1" | jq length; }
ran() { [ "$(ash --json session list --agent "$1" | jq '[.[] | select(.state == "ended")] | length')" -ge "$2" ]; }

install first 'exit "${SCARAB_TASK:-0}"'
install good 'echo "$SCARAB_TASK"; cat "$SCARAB_MISSION"' \
    'triggers: [{after: first, outcome: success, task: "after {{event.data.agent}}: {{event.data.outcome}}"}]'
install bad 'exit 0' 'triggers: [{after: first, outcome: failed}]'
install either 'exit 0' 'triggers: [{after: first}]'
install everything 'exit 0' 'triggers: [{event: "session.*"}]'
is "the agent's triggers" "$(ash --json agent show good | jq -c .triggers)" '["after first success"]'

# --- by outcome ----------------------------------------------------------------------------------
status "the first succeeds" 0 ash agent run first
first=$(latest first .id)
check "who waits for that runs" eventually 20 ran good 1
check "and who waits for any end" eventually 20 ran either 1
is "its task has the end's values" "$(ash session logs good@latest | head -n 1)" 'after first: success'
mission=$(ash session logs good@latest | tail -n +2)
is "its mission says why" "$(jq -c '[.trigger.kind, .trigger.id, .attempt]' <<<"$mission")" '["after","after-1",1]'
is "and after what" "$(jq -c '.trigger.event | [.id, .source, .type, .subject, .data.agent, .data.session, .data.outcome, .data.exit_code]' <<<"$mission")" \
    "[\"$first\",\"/sessions/first\",\"session.ended\",\"first\",\"first\",\"$first\",\"success\",0]"
like "why tells it too" "$(ash session why good@latest)" "session.ended, id $first of /sessions/first"
status "the first fails" 3 ash agent run first --task 3
check "who waits for a failure runs" eventually 20 ran bad 1
check "and who waits for any end" eventually 20 ran either 2
is "who waits for a success does not" "$(sessions good)" 1
is "an end is no event of others" "$(sessions everything)" 0

# --- across deaths -------------------------------------------------------------------------------
for victim in schedd runnerd control; do
	ash agent run first --detach >/dev/null || fail "the first runs"
	kill -KILL "$(daemon "$victim")"
	back() { ash ping; }
	check "$victim comes back" eventually 20 back
done
check "each end of the first started one" eventually 20 ran good 4
check "and all have ended" eventually 20 ran either 5
instance_stop
instance_up "started again"
ash agent run first >/dev/null || fail "the first runs again"
check "one more" eventually 20 ran either 6
is "and nothing twice" "$(sessions good) $(sessions either)" "5 6"

# --- circles -------------------------------------------------------------------------------------
install ping 'exit 0' 'triggers: [{after: pong}]'
install pong 'exit 0' 'triggers: [{after: ping}]'
status "one of a circle runs" 0 ash agent run ping
refused() { ash --json session list | jq -e 'any(.[]; .outcome == "refused")'; }
check "the circle comes to an end" eventually 60 refused
like "that says why" "$(ash --json session list | jq -r '.[] | select(.outcome == "refused") | .reason')" '32 sessions have started one another'
is "after so many" "$(($(sessions ping) + $(sessions pong)))" 34

# --- refused ---------------------------------------------------------------------------------------
agent self 'true' 'triggers: [{after: self}]' >/dev/null
status "after itself" 7 ash agent install "$dir/agents/self/manifest.yaml"
like "with its place" "$err" 'manifest.yaml:6:.*itself'
agent word 'true' 'triggers: [{after: first, outcome: good}]' >/dev/null
status "an outcome that there is not" 7 ash agent install "$dir/agents/word/manifest.yaml"
status "no operator tells an end" 2 ash event emit session.ended --source /sessions/first

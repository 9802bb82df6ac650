#!/bin/bash
# timeout: 180
# An event starts the sessions of the agents that wait for it: once each, with the task it fills in
# and the event in their mission; after a crash too.
# shellcheck disable=SC2016,SC2154
. "$(dirname "$0")/lib.sh"
instance_new
instance_up "the instance starts"
emit() { ash event emit "$@" >/dev/null; }
sessions() { ash --json session list --agent "$1" | jq length; }
ran() { [ "$(ash --json session list --agent "$1" | jq '[.[] | select(.state == "ended")] | length')" -eq "$2" ]; }

body='echo "$SCARAB_TASK"; cat "$SCARAB_MISSION"'
install review "$body" 'triggers:
- {event: github.push, filter: {ref: refs/heads/*, repository.private: "false"}, task: "review {{event.data.after}} of {{event.source}}"}'
install other "$body" 'task: what the manifest says
triggers: [{event: never}, {event: "github.*"}]'
install strict "$body" 'triggers: [{event: strict, task: "see {{event.data.missing}}"}]'

data='{"ref": "refs/heads/main", "after": "6113728f", "repository": {"private": false}, "quote": "$(id) \"x\""}'
check "an event is told" emit github.push --id one --source /hub --data "$data"
check "its agent runs" eventually 8 ran review 1
check "and the other one" eventually 8 ran other 1
is "the task has the event's values" "$(ash session logs review@latest | head -n 1)" 'review 6113728f of /hub'
is "without one of the trigger it is the manifest's" "$(ash session logs other@latest | head -n 1)" 'what the manifest says'
mission=$(ash session logs review@latest | tail -n +2)
is "the mission has the event" "$(jq -c '.trigger.event | [.id, .source, .type, .data]' <<<"$mission")" \
    "$(jq -c '["one", "/hub", "github.push", .]' <<<"$data")"
is "and the trigger" "$(jq -c '[.trigger.kind, .trigger.id, .attempt]' <<<"$mission")" '["event","event-1",1]'
is "it was scheduled when the event came" "$(jq -r .trigger.scheduled_at <<<"$mission")" "$(jq -r .trigger.event.time <<<"$mission")"
is "of several triggers the one that matched is named" "$(latest other '.trigger | [.kind, .id] | join(" ")')" 'event event-2'

like "the session shows its event" "$(ash session show review@latest)" 'Event: +github.push, id one of /hub'
like "and why it is there" "$(ash session why review@latest)" 'github.push, id one of /hub'
is "in JSON too" "$(latest review '.event | [.id, .source, .type] | join(" ")')" 'one /hub github.push'

# --- once ---
check "the same again" emit github.push --id one --source /hub --data "$data"
check "one that the filter does not match" emit github.push --id two --source /hub --data '{"ref": "refs/tags/1", "repository": {"private": false}}'
check "which the other has" eventually 8 ran other 2
is "started the reviewer no second time" "$(sessions review)" 1
check "a replay" ash event replay one --source /hub
check "starts it again" eventually 8 ran review 2
is "with the same event" "$(ash session logs review@latest | tail -n +2 | jq -r .trigger.event.id)" one
last_fires() { ash --json schedule list --agent "$1" | jq -c '[.[].last_fire_at]'; }
is "the schedule says when it was fired last" "$(last_fires review)" "[\"$(latest review .trigger.fired_at)\"]"
is "of each trigger" "$(last_fires other)" "[null,\"$(latest other .trigger.fired_at)\"]"

# --- what cannot be written ---
check "an event without what the task wants" emit strict --data '{}'
check "is a session" eventually 8 ran strict 1
is "that was refused" "$(latest strict .outcome)" refused
like "with the reason" "$(latest strict .reason)" 'no data.missing'
like "and what to change" "$(ash session why strict@latest)" 'Next: .*the event'

# --- large ---
head -c 900000 /dev/zero | tr '\0' 'x' | sed 's/^/{"big": "/; s/$/"}/' >"$dir/large.json"
check "an event with 900 KB" emit github.large --data "@$dir/large.json"
check "reaches its agent" eventually 8 ran other 4
is "whole" "$(ash session logs other@latest | tail -n +2 | jq '.trigger.event.data.big | length')" 900000

# --- of agents ---
cat >"$dir/emit.py" <<'PY'
import json, os, socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(os.environ["SCARAB_SOCKET"])
f = s.makefile("rw")
def ask(number, method, params):
    f.write(json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}) + "\n")
    f.flush()
    while True:
        answer = json.loads(f.readline())
        if answer.get("id") == number:
            return answer["result"]
ask(1, "initialize", {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}})
f.write(json.dumps({"jsonrpc": "2.0", "method": "notifications/initialized"}) + "\n")
for number, kind in enumerate(sys.argv[1:], 2):
    ask(number, "tools/call", {"name": "agentd__emit_event", "arguments": {"type": kind, "data": {"n": number}}})
PY
speaker() {
	local manifest
	manifest=$(agent "$1" "exec python3 $dir/agents/$1/emit.py done github.push" "${2:-}")
	cp "$dir/emit.py" "$dir/agents/$1/emit.py"
	ash agent install --replace "$manifest" >/dev/null || fail "the agent $1 installs"
}
speaker talker 'triggers: [{event: "agent.talker.*"}]'
speaker trusted 'capabilities: ["tool.invoke:*", "event.emit:github.*"]'
install listener "$body" 'triggers: [{event: agent.talker.done, task: "n is {{event.data.n}}"}]'
before=$(sessions other)
status "an agent emits events" 0 ash agent run talker
check "who waits for its events runs" eventually 8 ran listener 1
is "with what it said" "$(ash session logs listener@latest | head -n 1)" 'n is 2'
like "by a source that says who" "$(ash --json event list --type agent.talker.done | jq -r '.[0].source')" '^/agents/talker/sessions/'
is "its types have its name before them" "$(ash --json event list --source "/agents/talker/sessions/$(latest talker .id)" | jq -c 'map(.type) | sort')" '["agent.talker.done","agent.talker.github.push"]'
is "so that it speaks for nobody else" "$(sessions other)" "$before"
is "and does not start itself" "$(sessions talker)" 1
status "one whose manifest lets it" 0 ash agent run trusted
check "does" eventually 8 ran other $((before + 1))
is "with that type alone" "$(ash --json event list --type '*.done' | jq -c 'map(.type) | sort')" '["agent.talker.done","agent.trusted.done"]'
status "no operator tells for an agent" 2 ash event emit x --source /agents/talker/sessions/1

# --- across deaths ---
for i in $(seq 10); do
	emit github.many --id "many-$i" || fail "event $i is told while daemons die"
	case $i in 3 | 7) kill -KILL "$(daemon schedd)" ;; 5) kill -KILL "$(daemon runnerd)" ;; esac
done
check "events during deaths of daemons start what they should" eventually 8 ran other 15
instance_stop
instance_run || fail "the instance starts again"
is "and nothing twice" "$(sessions other)" 15

# --- at install ---
agent bad 'true' 'triggers: [{event: x, task: "{{event.dat}}"}]' >/dev/null
status "a task that names nothing is refused" 7 ash agent install "$dir/agents/bad/manifest.yaml"
like "with its place" "$err" 'manifest.yaml:6:.*task.*must name'

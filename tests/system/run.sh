#!/bin/bash
# A session from request to record: outcomes, exit statuses, input, task, mission, home.
# shellcheck disable=SC2016,SC2154
. "$(dirname "$0")/lib.sh"
mkdir -p /tmp
instance_new
mkdir -p "$dir/docs"
echo "read me" >"$dir/docs/note"
printf 'ceilings: {allowed_context: ["%s/docs"]}\n' "$dir" >>"$dir/agentd.yaml"
instance_up "the instance starts"

# --- outcomes and exit statuses ---
install good 'echo to-out; echo to-err >&2'
status "success exits 0" 0 ash agent run good
is "standard output is printed" "$out" to-out
like "standard error is printed to standard error" "$err" to-err
is "outcome success" "$(latest good .outcome)" success
is "exit code recorded" "$(latest good .exit_code)" 0

install bad 'exit 3'
status "failure exits with the agent's status" 3 ash agent run bad
is "outcome failed" "$(latest bad '.outcome + " " + (.exit_code | tostring)')" "failed 3"

install killed 'kill -SEGV $$'
status "a signal gives 128+N" 139 ash agent run killed
is "outcome signaled" "$(latest killed '.outcome + " " + (.signal | tostring)')" "signaled 11"

install slow 'exec sleep 1000' 'lifecycle: {stop_grace: 200ms}'
status "a timeout exits 124" 124 ash agent run slow --timeout 300ms
is "outcome timed_out" "$(latest slow .outcome)" timed_out

install stubborn 'trap "" TERM; while :; do sleep 1000; done' 'lifecycle: {stop_grace: 200ms, timeout_secs: 1}'
status "an agent that ignores TERM is killed after the grace" 124 ash agent run stubborn
is "outcome timed_out" "$(latest stubborn .outcome)" timed_out

id=$(ash agent run slow --detach)
like "--detach prints the session's id" "$id" '^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$'
status "cancel" 0 ash session cancel "$id"
status "wait for a cancelled session exits 125" 125 ash session wait "$id"
is "outcome cancelled" "$(latest slow .outcome)" cancelled
status "cancelling an ended session changes nothing" 0 ash session cancel "$id"
is "outcome still cancelled" "$(ash --json session show "$id" | jq -r .outcome)" cancelled
like "why says it" "$(ash session why "$id")" cancel

install reader 'cat /context/docs/note; echo x >/context/docs/new' \
    "context: [{source: $dir/docs, target: /context/docs}]"
status "context is read-only" 2 ash agent run reader
is "and readable" "$out" "read me"
mv "$dir/docs" "$dir/docs.gone"
status "a context source that vanished fails the set-up: 125" 125 ash agent run reader
is "outcome setup_failed with its step" "$(latest reader '.outcome + " " + .step')" "setup_failed context"
like "the words are on standard error" "$err" docs

agent noexec '' >/dev/null
printf '#!/does/not/exist\n' >"$dir/agents/noexec/noexec"
ash agent install "$dir/agents/noexec/manifest.yaml" >/dev/null 2>&1
status "a program that cannot be started: 125" 125 ash agent run noexec
is "outcome setup_failed, step agent" "$(latest noexec '.outcome + " " + .step')" "setup_failed agent"

status "no such agent: 125 for run" 125 ash agent run nobody
status "no such session: 3" 3 ash session show 0190aaaa-0000-7000-8000-000000000000

# --- input ---
install echoes 'cat'
head -c 300000 /dev/urandom >"$dir/input"
ash agent run echoes --input "$dir/input" >"$dir/output"
check "--input FILE comes back byte for byte" cmp "$dir/input" "$dir/output"
is "--input - reads standard input" "$(echo from-a-pipe | ash agent run echoes --input -)" from-a-pipe
is "without --input standard input is empty" "$(ash agent run echoes </dev/null)" ""

# --- task, environment, mission ---
install mission 'echo "$SCARAB_TASK|$SCARAB_MODEL|$AGENT_NAME|$HOME|$USER|$LOGNAME|$LANG|$TMPDIR|$XDG_RUNTIME_DIR|$CREDENTIALS_DIRECTORY|$SCARAB_MISSION|$SCARAB_SOCKET|$MORE"
[ "$SCARAB_SESSION_ID" = "$SCARAB_AGENT_ID" ] && cat "$SCARAB_MISSION"' 'task: from the manifest
model: some/model
env: {MORE: "a b"}'
is "the manifest's task and the environment" "$(ash agent run mission | head -n 1)" \
    "from the manifest|some/model|mission|/home/agent|agent|agent|C.UTF-8|/tmp|/run/agent|/run/credentials|/run/agentd/mission.json|/run/agentd/agentd.sock|a b"
task='"quoted" \ and ünïcode'
ash agent run mission --task "$task" >"$dir/output"
is "--task overrides it" "$(head -n 1 "$dir/output" | cut -d'|' -f1)" "$task"
tail -n +2 "$dir/output" >"$dir/mission.json"
is "mission.json holds the task" "$(jq -r .task "$dir/mission.json")" "$task"
is "mission.json: version, agent, model, trigger, attempt" \
    "$(jq -r '[.version, .agent, .model, .trigger.kind, .attempt] | join(" ")' "$dir/mission.json")" \
    "1 mission some/model manual 1"
is "mission.json: this session" "$(jq -r .session "$dir/mission.json")" "$(latest mission .id)"
is "mission.json: the previous one" "$(jq -r .previous.outcome "$dir/mission.json")" success

# --- home ---
install keeps 'echo x >>$HOME/seen; wc -l <$HOME/seen; id -u'
ash agent run keeps >/dev/null
is "the home persists, the user is 1000" "$(ash agent run keeps | tr '\n' ' ')" "2 1000 "
install forgets 'echo x >>$HOME/seen; wc -l <$HOME/seen' 'home: {mode: none}'
ash agent run forgets >/dev/null
is "a home of mode none does not" "$(ash agent run forgets)" 1
is "identity persists over reinstalling" "$(install keeps 'cat $HOME/seen | wc -l' && ash agent run keeps)" 2

# --- what is printed for programs ---
is "the session object has every key of its contract" "$(latest keeps '. as $s |
    ["id","agent","state","step","outcome","reason","exit_code","signal","attempt","trigger","queued_at",
     "started_at","running_at","ended_at","wall_ms","cpu_ms","peak_memory_bytes","steps","tools","result"] |
    map(select(. as $k | $s | has($k) | not)) | join(" ")')" ""
is "so has the agent" "$(ash --json agent list | jq -r '.[0] as $s |
    ["name","version","runtime","trust_level","install_dir","installed_at","paused","triggers",
     "last_session","next_fire_at"] | map(select(. as $k | $s | has($k) | not)) | join(" ")')" ""
is "steps are in the order of set-up" "$(latest keeps '[.steps[].name] | join(" ")')" \
    "image identity credentials context skills network tools agent"
is "tables fit 80 columns" "$({ ash agent list; ash session list; ash status; ash doctor; } 2>&1 | awk 'length > 80' | head -n 3)" ""
is "a unique prefix names a session" "$(ash --json session show "$(latest keeps .id)" | jq -r .agent)" keeps
is "session list --agent" "$(ash --json session list --agent keeps | jq length)" 3
status "removing an agent" 0 ash agent remove keeps
status "a removed agent cannot be run" 125 ash agent run keeps
check "its home stays" test -e "$dir/state/homes/keeps/home/seen"

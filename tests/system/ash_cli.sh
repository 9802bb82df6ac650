#!/bin/bash
# timeout: 240
# Every command of ash: what it says of wrong usage, of agentd not being there, its exit statuses,
# its JSON; and what a terminal sees.
# shellcheck disable=SC2016,SC2154
. "$(dirname "$0")/lib.sh"
instance_new
gate_new
printf 'ceilings: {allowed_context: ["%s/gate"]}\n' "$dir" >>"$dir/agentd.yaml"

commands=("agent install m.yaml" "agent list" "agent show a" "agent remove a" "agent run a --detach"
    "session list" "session show 0" "session logs 0" "session cancel 0" "session why 0" "status" "ping"
    "doctor" "reload" "shutdown")
offline=("agent validate" "version" "help")

# --- usage: before anything is connected ----------------------------------------------------------
status "no command: 2" 2 ash
status "half a command: 2" 2 ash agent
status "an unknown command: 2" 2 ash agnet list
like "with a suggestion" "$err" "did you mean 'agent'"
status "an unknown second word: 2" 2 ash session lits
like "with a suggestion" "$err" "session list"
for command in "${commands[@]}" "session wait 0" "agent run a"; do
	read -ra words <<<"$command"
	status "$command --wibble: 2" 2 ash "${words[@]}" --wibble
	like "and says so" "$err" "there is no option '--wibble'"
	status "$command --help: 0" 0 ash "${words[@]}" --help
	like "and tells the usage" "$out" "^usage: ash ${words[0]}"
done
for command in "agent install" "agent show" "agent remove" "agent run" "agent validate" "session show" \
    "session logs" "session cancel" "session wait" "session why"; do
	read -ra words <<<"$command"
	status "$command without its argument: 2" 2 ash "${words[@]}"
	like "and names it" "$err" "is missing"
done
for command in "agent list" "agent show a" "agent remove a" "agent run a" "session list" "session why 0" \
    "status" "ping" "doctor" "reload" "shutdown" "version"; do
	read -ra words <<<"$command"
	status "$command with one more: 2" 2 ash "${words[@]}" surplus
done
status "a value that is missing: 2" 2 ash agent run a --task
status "a value for a flag: 2" 2 ash agent run a --detach=yes
status "a timeout of nothing: 2" 2 ash agent run a --timeout 0
status "both --detach and --wait: 2" 2 ash agent run a --detach --wait
status "an unknown state: 2" 2 ash session list --state sleeping
status "a wrong --since: 2" 2 ash session list --since yesterday
status "a wrong --limit: 2" 2 ash session list --limit none
status "an unknown runtime: 2" 2 ash agent install "$(agent quick 'exit 0')" --runtime cobol
status "top without a terminal: 2" 2 ash top
status "a completion for no shell: 2" 2 ash completion tcsh

# --- agentd is not there -----------------------------------------------------------------------------
agent a 'exit 0' >/dev/null
cp "$dir/agents/a/manifest.yaml" "$dir/m.yaml"
cd "$dir" || exit 1
for command in "${commands[@]}"; do
	read -ra words <<<"$command"
	status "$command without agentd: 6" 6 ash "${words[@]}"
	status "$command --json without agentd: 6" 6 ash "${words[@]}" --json
	is "as an object" "$(jq -r '.error | keys | join(" ")' <<<"$err")" "code hint what why"
done
status "agent run without agentd: 125" 125 ash agent run a
status "session wait without agentd: 125" 125 ash session wait 0
is "an error says what was being done" "$(ash --json agent show 'a b' 2>&1 | jq -r '.error | [.code, .what] | join(" ")')" "3 agent show"
is "the code names the reason" "$(ash --json session wait 0 2>&1 | jq .error.code)" 6
for command in "${offline[@]}"; do
	read -ra words <<<"$command"
	[ "$command" != "agent validate" ] || words+=("$dir/m.yaml")
	status "$command needs no agentd" 0 ash "${words[@]}"
done
is "validate says ok" "$(ash agent validate "$dir/m.yaml")" "$dir/m.yaml: ok"
printf 'kind: AgentManifest\nspec: {runtme: rust}\n' >"$dir/bad.yaml"
status "validate of one good and one bad: 7" 7 ash agent validate "$dir/m.yaml" "$dir/bad.yaml"
like "with its place" "$err" "^$dir/bad.yaml:[0-9]+:[0-9]+: "
is "validate --json is an array" "$(ash --json agent validate "$dir/m.yaml" "$dir/bad.yaml" | jq -c '[.[].valid]')" "[true,false]"

# --- a running instance ----------------------------------------------------------------------------------
instance_run || { fail "the instance starts"; exit 1; }
is "no agents: an empty array" "$(ash --json agent list)" "[]"
is "no sessions: an empty array" "$(ash --json session list)" "[]"
like "no agents: the titles" "$(ash agent list)" "^NAME +VERSION +RUNTIME +TRIGGERS +LAST +NEXT +INSTALL-DIR +INSTALLED-AT$"
like "no sessions: the titles" "$(ash session list)" "^ID +AGENT +STATE +OUTCOME +TRIGGER +QUEUED +WALL$"
status "no such agent: 3" 3 ash agent show nobody
status "no such session: 3" 3 ash session why nobody@latest
status "logs of no such session: 3" 3 ash session logs ffffffff
status "wait for no such session: 125" 125 ash session wait ffffffff
status "a session that nobody can name: 3" 3 ash session cancel 'a b'

status "install" 0 ash agent install "$dir/agents/a/manifest.yaml"
status "install again: 5" 5 ash agent install "$dir/agents/a/manifest.yaml"
status "install --replace: 0" 0 ash agent install --replace "$dir/agents/a/manifest.yaml"
is "install --json is the agent" "$(ash --json agent install --replace "$dir/agents/a/manifest.yaml" | jq -r '[.name, .version, .runtime, .install_dir] | join(" ")')" \
    "a 1.0.0 rust $dir/agents/a"
cp -r "$dir/agents/a" "$dir/elsewhere"
status "--dir" 0 ash agent install --replace --dir "$dir/elsewhere" "$dir/agents/a/manifest.yaml"
is "is install_dir" "$(ash --json agent show a | jq -r .install_dir)" "$dir/elsewhere"
status "--dir that is not there: 3" 3 ash agent install --replace --dir "$dir/none" "$dir/agents/a/manifest.yaml"
status "a runtime of a later build: 7" 7 ash agent install --replace --runtime container "$dir/agents/a/manifest.yaml"
install far 'exit 0' 'args: ["--config=/etc/nowhere/x", /usr/bin/env, /tmp/y]'
ash agent install --replace "$dir/agents/far/manifest.yaml" 2>"$dir/err" >/dev/null
is "one argument path will not be inside" "$(grep -c 'will not exist inside' "$dir/err")" 1
like "which is named" "$(cat "$dir/err")" "spec.args\[0\]: /etc/nowhere/x"
is "with --quiet it is not said" "$(ash --quiet agent install --replace "$dir/agents/far/manifest.yaml" 2>&1)" ""

install out 'echo to stdout; echo to stderr >&2; exit 3'
ash agent run out >"$dir/stdout" 2>"$dir/stderr"
is "run exits with the agent's status" $? 3
is "its standard output alone" "$(cat "$dir/stdout")" "to stdout"
is "its standard error alone" "$(cat "$dir/stderr")" "to stderr"
ash --json agent run out >"$dir/stdout" 2>"$dir/stderr"
is "with --json the same status" $? 3
is "and the session alone" "$(jq -r '[.agent, .state, .outcome, .exit_code, .signal, .result] | map(tostring) | join(" ")' "$dir/stdout")" \
    "out ended failed 3 null null"
is "every key of a session" "$(jq -c '[has("id", "agent", "state", "step", "outcome", "reason", "exit_code", "signal", "attempt", "trigger",
	"queued_at", "started_at", "running_at", "ended_at", "wall_ms", "cpu_ms", "peak_memory_bytes", "steps", "tools", "result")] | all' "$dir/stdout")" true
is "every key of an agent" "$(ash --json agent list | jq -c '[.[] | has("name", "version", "runtime", "trust_level", "install_dir",
	"installed_at", "paused", "triggers", "last_session", "next_fire_at")] | all')" true
is "the agent's last session" "$(ash --json agent show out | jq -r .last_session)" "$(jq -r .id "$dir/stdout")"
status "wait for an ended session" 3 ash session wait out@latest
status "why" 0 ash session why out@latest
like "says it" "$out" "failed with exit status 3"
status "a session by its beginning" 0 ash session show "$(jq -r .id "$dir/stdout" | cut -c1-18)"

id=$(ash agent run out --detach)
like "--detach prints the id" "$id" '^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$'
status "that session" 3 ash session wait "$id"
is "--detach --json" "$(ash --json agent run out --detach | jq -r .agent)" out
ash session wait out@latest 2>/dev/null

install echoes 'cat; printf end'
is "--input from standard input" "$(printf 'a\0b' | ash agent run echoes --input - | od -An -c | tr -d ' \n')" 'a\0bend'
is "--input from a file" "$(ash agent run echoes --input "$dir/stdout" | head -c 5)" '{"id"'
: >"$dir/empty"
is "--input that is empty" "$(ash agent run echoes --input "$dir/empty")" end
head -c 5000000 /dev/urandom >"$dir/large"
is "--input of 5 MB" "$(ash agent run echoes --input "$dir/large" | head -c 5000000 | cksum)" "$(cksum <"$dir/large")"
install says 'echo "$SCARAB_TASK"'
is "--task" "$(ash agent run says --task 'do "this"')" 'do "this"'
status "a task that is not UTF-8: 125" 125 ash agent run says --task $'\xff'

# 40 MB through two segments of 16 MiB, printed while they are rewritten.
install flows 'i=0; while [ $i -lt 400 ]; do head -c 50000 /dev/zero | tr "\0" x; echo; i=$((i + 1)); done'
is "a log that is rotated while it is read comes whole" "$(ash agent run flows | wc -c)" $((400 * 50001))

# Output whose reader leaves: the session goes on.
install gated "echo one; $gate_wait echo two; exit 4" "$gate_context"
gate_shut
timeout $((30 * factor)) "$BUILD/ash" -s "$sock" agent run gated 2>"$dir/err" 9>&- | head -n 1 >"$dir/head" 9>&-
ash session logs -f gated@latest 9>&- >"$dir/followed" &
follower=$!
gate_open
wait $follower
is "a reader that leaves ends ash quietly" "$(cat "$dir/head" "$dir/err")" one
is "and the session goes on" "$(cat "$dir/followed")" "one
two"
status "to its end" 4 ash session wait gated@latest
is "a full disk is an error" "$(ash agent list 2>&1 >/dev/full; echo $?)" "ash: writing to standard output: No space left on device
1"

# Ctrl-C: the first cancels, the second leaves.
install waits "echo started; $gate_wait exit 0" "$gate_context"
gate_shut
interruptible() { exec env --default-signal=INT "$BUILD/ash" -s "$sock" agent run waits; }
interruptible >"$dir/waits.out" 2>"$dir/waits.err" 9>&- &
runner=$!
check "it runs" eventually 10 grep -q started "$dir/waits.out"
kill -INT $runner
wait $runner
is "Ctrl-C cancels" $? 125
is "the session" "$(latest waits .outcome)" cancelled
like "and says so" "$(cat "$dir/waits.err")" "cancelling session"
install ignores "trap '' TERM; echo started; $gate_wait exit 0" "$gate_context
lifecycle: {stop_grace: 60s}"
stubborn() { exec env --default-signal=INT "$BUILD/ash" -s "$sock" agent run ignores; }
stubborn >"$dir/ignores.out" 2>"$dir/ignores.err" 9>&- &
runner=$!
check "a stubborn one runs" eventually 10 grep -q started "$dir/ignores.out"
kill -INT $runner
check "the first is heard" eventually 10 grep -q cancelling "$dir/ignores.err"
kill -INT $runner
wait $runner
is "the second Ctrl-C leaves" $? 130
is "the session is still stopping" "$(latest ignores .state)" stopping
gate_open
ash session wait ignores@latest 2>/dev/null

# --- tables and terminals ------------------------------------------------------------------------------------
for command in "agent list" "session list" "status" "doctor"; do
	read -ra words <<<"$command"
	is "$command fits 80 columns" "$(ash "${words[@]}" | awk 'length > 80')" ""
	is "$command has no escapes" "$(ash "${words[@]}" | grep -c $'\033')" 0
	check "$command --json is JSON" jq -e . <(ash --json "${words[@]}")
done
is "names are whole" "$(ash agent list | awk 'NR > 1 { print $1 }' | sort | tr '\n' ' ')" \
    "$(ash --json agent list | jq -r '.[].name' | sort | tr '\n' ' ')"
is "the ids that are shown name their sessions" "$(ash session list | awk 'NR > 1 { print $1 }' | while read -r short; do
	ash --json session show "$short" | jq -r .id
done)" "$(ash --json session list | jq -r '.[].id')"
is "session list --agent" "$(ash --json session list --agent says | jq -r '[.[].agent] | unique | join(" ")')" says
is "session list --limit" "$(ash --json session list -n 2 | jq length)" 2
is "session list --since" "$(ash --json session list --since 2038-01-01T00:00:00Z)" "[]"
if command -v script >/dev/null; then
	terminal() { TERM=xterm script -qec "stty cols 80; $*" /dev/null </dev/null; }
	like "a terminal gets colour" "$(NO_COLOR='' terminal "$BUILD/ash" -s "$sock" session list)" $'\033\\[3'
	like "but not with NO_COLOR" "$(NO_COLOR=1 terminal "$BUILD/ash" -s "$sock" session list | grep -c $'\033\\[3')" '^0$'
	install slow 'sleep 0.5; echo done'
	like "a run has its live line" "$(terminal "$BUILD/ash" -s "$sock" agent run slow)" 'slow  running  0\.[0-9] s'
	is "but not with --quiet" "$(terminal "$BUILD/ash" -s "$sock" --quiet agent run slow | tr -d '\r')" "done"
else
	skip "terminals" "script(1) is not installed"
fi

# An escape in what a person is shown: none comes out as it went in.
status "an argument with an escape" 3 ash agent show $'a\e[31mb'
like "is shown without it" "$err" 'a\?\[31mb'

# --- the end ---------------------------------------------------------------------------------------------------
status "remove" 0 ash agent remove out
status "remove again: 3" 3 ash agent remove out
is "remove --json" "$(ash --json agent remove says --purge)" '{"agent":"says","removed":true,"purged":true}'
status "reload" 0 ash reload
status "ping" 0 ash ping
is "status counts" "$(ash --json status | jq -c '[.live, .queued, .draining]')" "[0,0,false]"
if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
	status "who is not in the group: 4" 4 setpriv --reuid $((uid_base + 60000)) --regid $((uid_base + 60000)) --clear-groups \
	    "$BUILD/ash" -s "$sock" ping
fi
status "shutdown" 0 ash shutdown
status "then nobody answers: 6" 6 ash ping
wait "$agentd_pid"
is "agentd ended well" $? 0
agentd_pid=''

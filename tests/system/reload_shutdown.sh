#!/bin/bash
# SIGHUP and ash reload, a bad configuration, SIGTERM and ash shutdown, with and without --drain.
# shellcheck disable=SC2154
. "$(dirname "$0")/lib.sh"
instance_new
gate_new
printf 'ceilings: {allowed_context: ["%s/gate"]}\n' "$dir" >>"$dir/agentd.yaml"
status "agentd -n accepts the configuration" 0 "$BUILD/agentd" -n -f "$dir/agentd.yaml"
is "and leaves nothing" "$(ls "$dir")" "agentd.yaml
agents
err
gate
out"
printf 'run_dri: /x\n' >"$dir/bad.yaml"
status "agentd -n refuses a bad one with 7" 7 "$BUILD/agentd" -n -f "$dir/bad.yaml"
like "naming file, line, column and the nearest key" "$err" 'bad.yaml:1:1:.*run_dri.*run_dir'
instance_up "the instance starts"

install waits "echo up; $gate_wait exit 5" "$gate_context"
cp "$dir/agentd.yaml" "$dir/good.yaml"
echo 'limits: {sessions: 3}' >>"$dir/agentd.yaml"
status "ash reload" 0 ash reload
is "the new limit holds" "$(ash --json status | jq .sessions_limit)" 3
# It is answered when every daemon has the configuration; here one cannot take it yet.
sed -i 's/sessions: 3/sessions: 4/' "$dir/agentd.yaml"
runnerd=$(daemon runnerd)
kill -STOP "$runnerd"
"$BUILD/ash" -s "$sock" reload >"$dir/reloaded" 2>&1 9>&- &
reloading=$!
limit_is() { [ "$(ash --json status | jq .sessions_limit)" = "$1" ]; }
check "the others take a configuration while runnerd is stopped" eventually 5 limit_is 4
check "ash reload waits for it" test ! -s "$dir/reloaded"
kill -CONT "$runnerd"
wait "$reloading"
is "and is answered when it has it" "$? $(cat "$dir/reloaded")" "0 agentd read its configuration again"
echo 'no_such_key: 1' >>"$dir/agentd.yaml"
status "a bad configuration is refused with 7" 7 ash reload
like "with the reason" "$err" no_such_key
is "and the old one goes on" "$(ash --json status | jq .sessions_limit)" 4
cp "$dir/good.yaml" "$dir/agentd.yaml"
echo 'limits: {sessions: 5}' >>"$dir/agentd.yaml"
kill -HUP "$agentd_pid"
check "SIGHUP reloads" eventually 5 limit_is 5

gate_shut
id=$(ash agent run waits --detach)
logged() { ash session logs "$id" | grep -q "$1"; }
eventually 10 logged up || fail "the session runs"
kill -TERM "$agentd_pid"
wait "$agentd_pid"
is "SIGTERM: agentd exits 0" $? 0
agentd_pid=''
check "SIGTERM: its daemons are gone" eventually 5 no_daemons
if processes | grep -q keeper; then ok "SIGTERM: the session lives on"; else fail "SIGTERM: the session is gone"; fi
status "ash without agentd exits 6" 6 ash ping
status "run without agentd exits 125" 125 ash agent run waits
instance_up "agentd starts again"
is "the session is known as running" "$(ash --json session show "$id" | jq -r .state)" running
gate_open
status "and ends as it should" 5 ash session wait "$id"

gate_shut
id=$(ash agent run waits --detach)
eventually 10 logged up || fail "the session runs"
status "ash shutdown" 0 ash shutdown
check "ends agentd" eventually 10 ended "$agentd_pid"
wait "$agentd_pid"
is "with 0" $? 0
agentd_pid=''
instance_up "agentd starts again"
status "shutdown --drain" 0 ash shutdown --drain
check "ends agentd" eventually 30 ended "$agentd_pid"
wait "$agentd_pid" 2>/dev/null
agentd_pid=''
gate_open
check "no process is left after --drain" eventually 5 no_processes
instance_up "agentd starts again"
is "the drained session is recorded" "$(ash --json session show "$id" | jq -r .state)" ended
like "as ended by the drain or by itself" "$(ash --json session show "$id" | jq -r .outcome)" '^(cancelled|failed|success)$'

# Two generations never run at once.
cp "$dir/agentd.yaml" "$dir/second.yaml"
check "a second agentd on the same directories is refused" \
    fails timeout -s KILL $((30 * factor)) "$BUILD/agentd" -f "$dir/second.yaml"
status "and the first goes on" 0 ash ping

#!/bin/bash
# timeout: 300
# What follows from the end of a session: failed ones are tried again, with the input and the reason
# that they had, long-running ones are restarted; each once, whatever is killed meanwhile.
# shellcheck disable=SC2016,SC2154
. "$(dirname "$0")/lib.sh"
instance_new
gate_new
printf 'ceilings: {allowed_context: ["%s/gate"]}\n' "$dir" >>"$dir/agentd.yaml"
instance_up "the instance starts"

sessions() { ash --json session list --agent "$1"; }
# how_many AGENT N: that many sessions, and all have ended.
all_ended() { [ "$(sessions "$1" | jq -c '[length, (map(select(.state == "ended")) | length)]')" = "[$2,$2]" ]; }
daemon_pid() { ash --json status | jq -r ".daemons[] | select(.name == \"$1\") | .pid"; }

# --- retries -----------------------------------------------------------------------------------
install flaky 'cat; cat "$SCARAB_MISSION" >>$HOME/missions; echo >>$HOME/missions
[ "$(wc -l <$HOME/missions)" -lt 3 ] && exit 4; exit 0' 'retry: {max: 5, backoff: 50ms, factor: 1.5}'
printf 'what it reads' >"$dir/input"
status "the first attempt's status is what the run exits with" 4 ash agent run flaky --input "$dir/input" --task "try hard"
check "attempts go on until one succeeds" eventually 30 all_ended flaky 3
is "and end with it" "$(sessions flaky | jq -c '[.[] | [.attempt, .outcome]]')" '[[3,"success"],[2,"failed"],[1,"failed"]]'
is "the reason stays" "$(sessions flaky | jq -c '[.[] | [.trigger.kind, .trigger.id, .task, .operator]] | unique | length')" 1
is "so does the time of the fire" "$(sessions flaky | jq -c '[.[].trigger.scheduled_at] | unique | length')" 1
mapfile -t ids < <(sessions flaky | jq -r ".[].id")
for n in 0 1 2; do is "the input is there again" "$(ash session logs "${ids[n]}")" 'what it reads'; done
mission=$dir/state/homes/flaky/home/missions
is "missions tell the attempt" "$(jq -sc '[.[].attempt]' "$mission")" '[1,2,3]'
is "and the attempt before" "$(jq -sc '[.[].previous | [.session, .outcome]]' "$mission")" \
    "[[null,null],[\"${ids[2]}\",\"failed\"],[\"${ids[1]}\",\"failed\"]]"
like "and a deadline" "$(jq -sr '.[2].deadline' "$mission")" '^20[0-9-]+T[0-9:.]+Z$'
is "one names the next" "$(ash --json session show "${ids[2]}" | jq -r '.followed_by | .session + " " + .as')" "${ids[1]} retry"
is "and the one before" "$(ash --json session show "${ids[1]}" | jq -r '.follows | .session + " " + .as')" "${ids[2]} retry"
why=$(ash session why "${ids[0]}")
like "why tells the chain" "$why" "Retry of.*${ids[1]}, attempt 2: failed with exit status 4"
like "to its beginning" "$why" "Retry of.*${ids[2]}, attempt 1"
like "and which attempt it is" "$why" 'Attempt.*3 of 6'
check "no input is left" eventually 10 fails compgen -G "$dir/state/sessions/*"

install hopeless 'exit 3' 'retry: {max: 2, backoff: 10ms}'
status "attempts are counted" 3 ash agent run hopeless
check "and end" eventually 20 all_ended hopeless 3
like "why says so" "$(ash session why hopeless@latest)" 'Attempt.*3 of 3'

install patient 'exit 3' 'retry: {max: 5, backoff: 1h, max_backoff: 1h}'
status "a long backoff" 3 ash agent run patient
is "one waits" "$(latest patient '.state + " " + (.attempt | tostring)')" "queued 2"
like "until then" "$(ash session why patient@latest)" 'waits until 20'
is "for nearly an hour" "$(latest patient '((.not_before | sub("\\.[0-9]+Z$"; "Z") | fromdateiso8601) - (.queued_at | sub("\\.[0-9]+Z$"; "Z") | fromdateiso8601)) | . >= 3239 and . <= 3601')" true
pid=$(daemon_pid schedd)
kill -KILL "$pid"
schedd_is_new() { ash ping && [ "$(daemon_pid schedd)" != "$pid" ]; }
check "schedd comes back" eventually 20 schedd_is_new
is "and it waits on" "$(latest patient '.state + " " + (.attempt | tostring)')" "queued 2"
status "another may run meanwhile" 3 ash agent run patient
status "one that waits can be cancelled" 0 ash session cancel patient@latest
is "which ends its attempts" "$(latest patient .outcome)" cancelled
status "the agent is removed" 0 ash agent remove patient
is "nothing of it waits" "$(sessions patient | jq -r '.[] | select(.state != "ended") | .id')" ""

# --- deaths: one retry for each failure -----------------------------------------------------------
install dying "if grep -q '\"attempt\":1,' \$SCARAB_MISSION; then $gate_wait fi; exit 5" "$gate_context
retry: {max: 1, backoff: 10ms}"
runs=0
for victim in schedd runnerd agentd-control schedd runnerd; do
	gate_shut
	ash agent run dying --detach >/dev/null
	is_running() { [ "$(latest dying .state)" = running ]; }
	eventually 20 is_running || fail "a session runs"
	kill -KILL "$(daemon "$victim")" "$(daemon schedd)" 2>/dev/null
	gate_open
	runs=$((runs + 2))
	check "$victim and schedd are killed as it ends: one attempt follows" eventually 30 all_ended dying $runs
done
is "none followed twice" "$(sessions dying | jq -c '[map(select(.attempt == 1)), map(select(.attempt == 2))] | map(length)')" '[5,5]'

# --- restarts ------------------------------------------------------------------------------------
install service 'exit 0' 'lifecycle: {restart_policy: always, max_restarts: 2}
retry: {backoff: 10ms}'
status "one that shall run always" 0 ash agent run service
check "is restarted as often as it may" eventually 20 all_ended service 3
is "each is a restart" "$(sessions service | jq -c '[.[] | [.attempt, .follows.as]]')" '[[1,"restart"],[1,"restart"],[1,null]]'
like "why tells whom it followed" "$(ash session why service@latest)" 'Restart of'
check "the log says when it is over" grep -q 'not restarted: lifecycle.max_restarts is 2' "$dir/agentd.log"

install worker 'exit 0' 'lifecycle: {restart_policy: on-failure}
retry: {backoff: 10ms}'
status "on-failure leaves a success alone" 0 ash agent run worker
is "which is its last" "$(sessions worker | jq length)" 1

install stays 'echo up; exec sleep 1000' 'lifecycle: {restart_policy: always, max_restarts: 0, stop_grace: 200ms}'
id=$(ash agent run stays --detach)
runs() { [ "$(latest stays .state)" = running ]; }
check "a service runs" eventually 20 runs
status "the instance drains" 0 ash shutdown --drain
check "and ends" eventually 20 no_daemons
instance_up "agentd is started again"
came_back() { runs && [ "$(latest stays .id)" != "$id" ]; }
check "the next agentd starts it again" eventually 20 came_back
is "as a restart of the one that the drain ended" "$(latest stays '.follows.session')" "$id"
status "cancelled, it stays down" 0 ash session cancel stays@latest
status "for good" 125 ash session wait stays@latest
is "nothing of it waits" "$(sessions stays | jq -r '.[] | select(.state != "ended") | .id')" ""

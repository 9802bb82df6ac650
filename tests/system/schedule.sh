#!/bin/bash
# timeout: 240
# What time starts: cron, every and at fire once each, on time and with their reason, whatever is
# killed or stopped meanwhile; what is to come is told.
# shellcheck disable=SC2016,SC2154
. "$(dirname "$0")/lib.sh"
instance_new
instance_up "the instance starts"

sessions() { ash --json session list --agent "$1"; }
have_ended() { [ "$(sessions "$1" | jq "[.[] | select(.state == \"ended\" and .outcome == \"success\")] | length")" -ge "$2" ]; }
daemon() { ash --json status | jq -r ".daemons[] | select(.name == \"$1\") | .pid"; }
in_ms() { date -u -d "@$(($(date +%s) + $1))" +%Y-%m-%dT%H:%M:%SZ; }
# Scheduled times of its sessions, as seconds, in order.
scheduled() { sessions "$1" | jq -r '[.[].trigger.scheduled_at | sub("\\.000Z$"; "Z") | fromdateiso8601] | sort | .[]'; }

# --- every -----------------------------------------------------------------------------------
install every 'cat "$SCARAB_MISSION"; echo; echo "task: $SCARAB_TASK"' 'task: "the manifest'\''s"
concurrency: {queue_limit: 100}
home: {mode: none}
triggers: [{every: 1s, task: "each second"}]'
check "every second it runs" eventually 30 have_ended every 3
id=$(sessions every | jq -r '.[-1].id')
mission=$(ash session logs "$id" | head -n 1)
is "its mission tells why" "$(jq -c '[.trigger.kind, .trigger.operator, .task, .attempt]' <<<"$mission")" '["every",null,"each second",1]'
is "and when" "$(jq -r .trigger.scheduled_at <<<"$mission" | tail -c 6)" .000Z
like "and when it fired" "$(jq -r .trigger.fired_at <<<"$mission")" '^20[0-9-]+T[0-9:.]+Z$'
is "the trigger's task is SCARAB_TASK" "$(ash session logs "$id" | tail -n 1)" "task: each second"
is "the session's trigger is the mission's" "$(ash --json session show "$id" | jq -c '.trigger | [.kind, .id, .scheduled_at]')" \
    "$(jq -c '.trigger | [.kind, .id, .scheduled_at]' <<<"$mission")"

# --- kills: nothing is lost, nothing twice -------------------------------------------------------
for victim in schedd runnerd schedd control schedd; do
	pid=$(daemon "$victim")
	kill -KILL "$pid"
	came_back() { [ "$(daemon "$victim")" != "$pid" ] && ash ping; }
	check "$victim comes back" eventually 20 came_back
	count=$(scheduled every | wc -l)
	check "and it goes on" eventually 30 have_ended every $((count + 1))
done
times=$(scheduled every)
is "no scheduled time came twice" "$(uniq -d <<<"$times")" ""
status "replaced by one without triggers" 0 install every 'exit 0' 'home: {mode: none}'
missing=$(awk 'NR > 1 && $1 != last + 1 { print last "-" $1 } { last = $1 }' <<<"$times")
# A restart takes longer than the second of grace on a busy machine: what was missed is told then.
if [ -z "$missing" ]; then ok "no scheduled time was lost"; else
	check "what was missed is told ($missing)" grep -q 'were missed' "$dir/agentd.log"
fi

# --- at, missed ----------------------------------------------------------------------------------
soon=$(in_ms 3)
for missed in skip run-once run-all; do
	install "at-$missed" 'exit 0' "triggers: [{at: $soon, missed: $missed}]"
done
install every-all 'exit 0' 'home: {mode: none}
concurrency: {queue_limit: 100}
triggers: [{every: 1s, missed: run-all, missed_within: 1h}]'
install far 'exit 0' "triggers: [{at: $soon}, {at: 2027-01-01T00:00:00Z}, {cron: '0 9 * * mon-fri', timezone: Europe/Berlin, jitter: 30s}, {cron: '*/5 * * * *'}]"
before=$(date +%s)
instance_stop
passed() { [ "$(date +%s)" -gt $(($(date -d "$soon" +%s) + 2)) ]; }
eventually 20 passed
instance_up "started again after the time"
check "run-once makes up for it" eventually 20 have_ended at-run-once 1
check "run-all too" eventually 20 have_ended at-run-all 1
is "skip does not" "$(sessions at-skip | jq length)" 0
caught_up() { scheduled every-all | grep -qx $((before + 1)) && scheduled every-all | grep -qx $((before + 4)); }
check "run-all makes up for each" eventually 20 caught_up
is "each once" "$(scheduled every-all | uniq -d)" ""
is "and none is left out" "$(scheduled every-all | awk 'NR > 1 && $1 != last + 1 { print last "-" $1 } { last = $1 }')" ""
status "it is removed" 0 ash agent remove every-all

# --- what is to come -----------------------------------------------------------------------------
next() { ash --json schedule next "$@"; }
status "the next times" 0 next far -n 3 --from 2027-03-27T12:00:00Z
is "by the expressions, strictly after" "$(jq -c '[.[] | .next_fire_at]' <<<"$out")" \
    '["2027-03-27T12:05:00.000Z","2027-03-27T12:10:00.000Z","2027-03-27T12:15:00.000Z"]'
is "each with its agent and trigger" "$(jq -r '[.[] | .agent, (.trigger_id | length > 0), .kind] | unique | length' <<<"$out")" 3
install dst 'exit 0' "triggers: [{cron: '30 2 * * *', timezone: Europe/Berlin}]"
is "through a change of the clock" "$(next dst -n 3 --from 2027-03-27T00:00:00Z | jq -c '[.[].next_fire_at]')" \
    '["2027-03-27T01:30:00.000Z","2027-03-28T01:00:00.000Z","2027-03-29T00:30:00.000Z"]'
zone_watched() { grep -q '^inotify wd' /proc/"$(daemon schedd)"/fdinfo/*; }
check "the zone's file is watched for updates" eventually 20 zone_watched
like "explained" "$(ash schedule next dst --explain --from 2027-03-27T12:00:00Z)" 'clocks jump from 2027-03-28 02:00:00 to 2027-03-28 03:00:00'
is "every key of an entry" "$(ash --json schedule list | jq -c '[.[] | select(.agent == "dst")][0] | [.agent, .kind, .expression, .timezone, .last_fire_at] + [has("next_fire_at"), has("trigger_id")]')" \
    '["dst","cron","30 2 * * *","Europe/Berlin",null,true,true]'
is "one that is over has none to come" "$(ash --json schedule list | jq -c '[.[] | select(.agent == "at-skip")][0].next_fire_at')" null
is "looking consumes nothing" "$(next dst -n 1)" "$(next dst -n 1)"
is "a constant delay" "$(next far -n 2000 --from 2027-05-03T00:00:00Z | jq '[.[] | select(.jitter_ms > 0) | .jitter_ms] | unique | length')" 1
like "a list for people" "$(ash schedule list)" 'AGENT +TRIGGER +EXPRESSION +TIMEZONE +NEXT +LAST'
is "the agent's list has the next time" "$(ash --json agent list | jq -r '.[] | select(.name == "dst") | .next_fire_at')" "$(next dst | jq -r '.[0].next_fire_at')"
is "and its triggers" "$(ash --json agent show dst | jq -c .triggers)" '["cron 30 2 * * * Europe/Berlin"]'
install last 'exit 0' 'triggers: [{every: 15m}]'
is "no time is after the last that can be written" "$(next last -n 9 --from 9999-12-31T23:40:00Z | jq -c '[.[].next_fire_at]')" \
    '["9999-12-31T23:45:00.000Z"]'
status "an unknown agent: 3" 3 next nobody
status "no time: 2" 2 next dst --from yesterday
status "no number: 2" 2 next dst -n 0

# --- refused ---------------------------------------------------------------------------------------
mkdir -p "$dir/agents/dst"
refused() {
	printf '%s\n' 'apiVersion: scarab/v1' 'kind: AgentManifest' 'metadata: {name: dst, version: 1.0.0}' \
	    "spec: {triggers: [$1]}" >"$dir/agents/dst/other.yaml"
	ash agent install --replace "$dir/agents/dst/other.yaml"
}
status "so is a time zone that is not there" 7 refused "{cron: '0 0 * * *', timezone: Mars/Olympus}"
like "by its name" "$err" 'Mars/Olympus'

#!/bin/bash
# timeout: 180
# Retention: of each agent the newest sessions stay, by number, bytes and age; rows, logs and what is
# kept of tools go together, also when daemons die meanwhile; what lives stays.
# shellcheck disable=SC2016,SC2154
. "$(dirname "$0")/lib.sh"
instance_new 'retention: {sessions: 5, log_bytes: 1Mi}'
instance_up "the instance starts"

sessions() { ash --json session list --agent "$1"; }
listed() { sessions "$1" | jq -r '.[].id' | sort; }
# of_logs AGENT: the sessions of which there are files.
of_logs() { find "$dir/log/$1" -name '*-*-*-*-*.*' -printf '%f\n' | cut -d. -f1 | sort -u; }
reload_bounds() {
	sed -i "s/^retention: .*/retention: {$1}/" "$dir/agentd.yaml"
	ash reload >/dev/null || fail "agentd takes the new bounds"
}
is_kept() { [ "$(listed "$1" | wc -l)" = "$2" ] && [ "$(listed "$1")" = "$(of_logs "$1")" ]; }

install small 'echo "$SCARAB_SESSION_ID"'
install other 'echo other'
install big 'head -c 300000 /dev/zero | tr "\0" x'
install lives 'echo up; exec sleep 1000' 'lifecycle: {stop_grace: 100ms}'
ash agent run other >/dev/null
live=$(ash agent run lives --detach)
for _ in {1..8}; do ash agent run small >/dev/null; done
newest=$(listed small | tail -n 5) gone=$(listed small | head -n 1)
is "nothing goes with each session" "$(listed small | wc -l)" 8
status "a look at all is taken with a new configuration" 0 ash reload
check "five of an agent stay" eventually 20 is_kept small 5
is "the newest" "$(listed small)" "$newest"
is "others have their own bounds" "$(listed other | wc -l) $(listed lives | wc -l)" "1 1"
is "status counts what is there" "$(ash --json status | jq .ended)" "$(ash --json session list | jq 'map(select(.state == "ended")) | length')"
status "one that went is not there: 3" 3 ash session show "$gone"
for id in $newest; do is "its log is whole" "$(ash session logs "$id")" "$id"; done

# --- bytes -----------------------------------------------------------------------------------------
for _ in {1..5}; do ash agent run big >/dev/null; done
ash reload >/dev/null
check "as many as their logs' bytes allow" eventually 20 is_kept big 3
reload_bounds 'sessions: 100, log_bytes: 1Mi, age: 1m'
for _ in {1..3}; do ash agent run big >/dev/null; done
ash reload >/dev/null
check "also of those that came since" eventually 20 is_kept big 3

# --- while it runs ------------------------------------------------------------------------------------
reload_bounds 'sessions: 2'
for _ in {1..40}; do ash agent run other >/dev/null; done
fewer() { [ "$(listed other | wc -l)" -lt 35 ]; }
check "an agent that runs on is looked at between" eventually 20 fewer

# --- deaths -------------------------------------------------------------------------------------------
for victim in runnerd schedd; do
	reload_bounds 'sessions: 1000'
	for _ in {1..12}; do ash agent run small >/dev/null; done
	reload_bounds 'sessions: 3'
	kill -KILL "$(daemon $victim)"
	eventually 20 ash session list || fail "ash works again"
	check "$victim is killed while it prunes: rows and files agree" eventually 30 is_kept small 3
done
is "what lives is there" "$(ash --json session show "$live" | jq -r .state)" running
is "with its log" "$(ash session logs "$live")" up
ash session cancel "$live" >/dev/null
status "and ends" 125 ash session wait "$live"

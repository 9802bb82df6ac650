#!/bin/bash
# timeout: 180
# While a blackout lasts no session of its agent starts, whatever asks for it; what waits says until
# when, and starts then, also after deaths.
# shellcheck disable=SC2016,SC2154,SC2317
. "$(dirname "$0")/lib.sh"
instance_new
instance_up "the instance starts"
sessions() { ash --json session list --agent "$1" | jq length; }
ran() { [ "$(ash --json session list --agent "$1" | jq '[.[] | select(.outcome == "success")] | length')" -ge "$2" ]; }

# --- without end -----------------------------------------------------------------------------------
install never 'exit 0' 'triggers: [{event: go}, {every: 1s}, {every: 1s, missed: run-all}]
home: {mode: none}
blackout: [{cron: "* * * * *"}]'
status "an operator's run is refused" 125 ash agent run never
like "and says why" "$err" 'never is in a blackout that has no end'
check "an event is told" ash event emit go --id one
waits() { [ "$(latest never '"\(.state) \(.reason)"')" = 'queued blackout that has no end' ]; }
check "what it starts waits" eventually 20 waits
like "and says why" "$(ash session why never@latest)" 'waits in the queue: blackout that has no end'
is "nothing is to come" "$(ash --json schedule list --agent never | jq -c '[.[].next_fire_at] | unique')" '[null]'
is "nor later" "$(ash --json schedule next never -n 3)" '[]'

# --- an hour, while which the clock is ------------------------------------------------------------
hours="$(date -u +%H | sed 's/^0//')"
hours="$hours-$((hours == 23 ? 23 : hours + 1))"
install dark 'exit 0' "triggers: [{event: go}, {every: 1s}]
blackout: [{cron: '* * * * *'}, {cron: '* $hours * * *', timezone: UTC}]"
sed "s/{cron: '\* \* \* \* \*'}, //" "$dir/agents/dark/manifest.yaml" >"$dir/agents/dark/hours.yaml"
check "one that ends" ash agent install --replace "$dir/agents/dark/hours.yaml"
check "an event is told" ash event emit go --id two
waits() { latest dark .reason | grep -Eqx 'blackout until 20..-..-..T..:00:00.000Z'; }
check "what it starts waits, and knows until when" eventually 20 waits
until=$(latest dark '.reason | sub("blackout until "; "")')
is "what is to come comes then" "$(ash --json schedule list --agent dark | jq -r '.[0].next_fire_at')" "$until"
is "and the agent's list says so" "$(ash --json agent list | jq -r '.[] | select(.name == "dark").next_fire_at')" "$until"
like "for people too" "$(ash session list --agent dark)" queued

# --- deaths ------------------------------------------------------------------------------------------
for victim in schedd runnerd; do
	pid=$(daemon "$victim")
	kill -KILL "$pid"
	came_back() { [ "$(daemon "$victim")" != "$pid" ] && ash ping; }
	check "$victim comes back" eventually 20 came_back
	check "and it waits still" eventually 20 waits
done
is "nothing has started" "$(ash --json session list | jq -c '[.[] | .started_at] | unique')" '[null]'

# --- its end -----------------------------------------------------------------------------------------
sed -i '/^ *blackout:/d' "$dir/agents/dark/hours.yaml" "$dir/agents/never/manifest.yaml"
check "taken away" ash agent install --replace "$dir/agents/dark/hours.yaml"
check "what waited starts" eventually 20 ran dark 1
check "and time fires again" eventually 20 ran dark 3
check "from the other too" ash agent install --replace "$dir/agents/never/manifest.yaml"
check "what waited starts" eventually 20 ran never 1
status "an operator runs it" 0 ash agent run dark

# --- refused -----------------------------------------------------------------------------------------
agent bad 'true' 'blackout: [{cron: "* 25 * * *"}]' >/dev/null
status "no expression" 7 ash agent install "$dir/agents/bad/manifest.yaml"
agent bad 'true' 'blackout: [{cron: "* 2 * * *", timezone: Nowhere/City}]' >/dev/null
status "no such zone" 7 ash agent install "$dir/agents/bad/manifest.yaml"
like "which is said" "$err" 'spec.blackout\[0\].timezone: this host has no time zone Nowhere/City'

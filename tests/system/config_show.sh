#!/bin/bash
# ash config show: what holds and where it was said; ash reload names what waits for a start.
# shellcheck disable=SC2154
. "$(dirname "$0")/lib.sh"
instance_start 'limits: {sessions: 7}
retention: {age: 90m}'
shown() { ash --json config show | jq -r --arg key "$1" '.[] | select(.key == $key) | '"$2"; }

is "a value of the file, and its line" "$(shown limits.sessions '[.value, .origin, .line] | join(" ")')" \
    "7 file $(grep -n 'sessions: 7' "$dir/agentd.yaml" | cut -d: -f1)"
is "its file" "$(shown limits.sessions .file)" "$dir/agentd.yaml"
is "a default" "$(shown limits.queue '[.value, .origin, .line] | map(tostring) | join(" ")')" "10000 default null"
is "what follows from another key" "$(shown socket '[.value, .origin, .derived_from] | join(" ")')" "$dir/run/agentd.sock derived run_dir"
is "units" "$(shown retention.age '[.value, .unit] | join(" ")'), $(shown defaults.memory_limit '[.value, .unit] | join(" ")')" "5400000 ms, 1073741824 bytes"
is "null is one" "$(shown ceilings.allowed_install '[.value, .origin] | map(tostring) | join(" ")')" "null default"
table=$(COLUMNS=200 ash config show)
like "as a table" "$table" "limits.sessions +7 +$dir/agentd.yaml:[0-9]+"
like "with values as one writes them" "$table" 'retention.age +90m +'
like "sizes too" "$table" 'defaults.memory_limit +1Gi +default'
is "every key of the schema is there, once" "$(ash --json config show | jq -r 'length == ([.[].key] | unique | length)')" true

sed -i 's/sessions: 7/sessions: 8/; s/^group: .*/group: 4242/' "$dir/agentd.yaml"
status "a reload takes what it can" 0 ash reload
like "and names what waits" "$err$out" 'group: agentd must be restarted'
is "what it took holds" "$(shown limits.sessions .value)" 8
is "what waits is as it was" "$(shown group '[.value, .restart_needed] | map(tostring) | join(" ")')" "$((uid_base + 10)) true"
is "all else needs no start" "$(ash --json config show | jq '[.[] | select(.restart_needed)] | length')" 1
is "in JSON" "$(ash --json reload | jq -c '[.reloaded, .restart_needed]')" '[true,["group"]]'

before=$(ash --json config show)
printf 'limits:\n  sessions: 9\nno_such: 1\n' >"$dir/agentd.yaml"
status "a wrong file is refused" 7 ash reload
like "with its line" "$err" "agentd.yaml:3:1"
is "and nothing of it holds" "$(ash --json config show)" "$before"

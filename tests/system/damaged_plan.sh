#!/bin/bash
# A plan in the store that cannot be used: every command that needs it says so and what to do, other
# agents work, and installing it again mends it.
# shellcheck disable=SC2119,SC2154
. "$(dirname "$0")/lib.sh"
instance_start
install worker 'echo works'
install other 'echo other'
is "an agent runs" "$(ash agent run worker)" works
stored=$(find "$dir/state/store" -type f -name 'worker*')
instance_stop
is "its plan is one file" "$(wc -l <<<"$stored")" 1
printf 'x' | dd of="$stored" bs=1 seek=$(($(stat -c %s "$stored") / 2)) conv=notrunc 2>/dev/null
instance_up "the instance starts with a damaged plan"
status "a run is refused" 125 ash agent run worker
like "as damaged, with what to do" "$err" 'plan of worker in the store is damaged.*ash agent install --replace'
status "a run of what never was" 125 ash agent run never
like "is something else" "$err" 'no agent named never is installed'
status "show says the same" 1 ash agent show worker
like "of the plan" "$err" 'plan of worker in the store is damaged'
is "the other agent runs" "$(ash agent run other)" other
pid=$(daemon schedd)
kill -KILL "$pid"
eventually 10 ash agent run other || fail "schedd is started again"
status "a new schedd knows it too" 125 ash agent run worker
like "as damaged" "$err" 'is damaged'
status "installing it again" 0 ash agent install --replace "$dir/agents/worker/manifest.yaml"
is "mends it" "$(ash agent run worker)" works
printf 'x' | dd of="$stored" bs=1 seek=20 conv=notrunc 2>/dev/null
instance_stop
instance_up "the instance starts again"
status "a damaged agent can be removed" 0 ash agent remove worker
status "and is unknown then" 125 ash agent run worker
like "as any other" "$err" 'no agent named worker is installed'

#!/bin/bash
# What came of a session's tools: ash session show, live and after its end.
# timeout: 240
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
need_root "tools of sessions"
instance_new
gate_new
printf '%s\n' "ceilings: {allowed_context: [$dir]}" >>"$dir/agentd.yaml"
instance_up "the instance starts"

# worker BODY SPEC: an agent with one plugin.
worker() {
	local manifest
	mkdir -p "$dir/agents/worker"
	cp --remove-destination "$BUILD/tests/mcp-server" "$BUILD/tests/mcp-call" "$dir/agents/worker/"
	manifest=$(agent worker "cd '$dir/agents/worker'; $1" "$(printf '%s\n' "$gate_context" "$2")")
	ash agent install --replace "$manifest" >"$dir/install.out" 2>&1 || {
		fail "the agent installs"
		note "$(<"$dir/install.out")"
	}
}
one='mcp_servers: [{name: one, command: ./mcp-server}]'
calls() { ash --json session show worker@latest | jq -r ".tools[] | select(.name == \"$1\") | .$2"; }

# --- calls, result, activity --------------------------------------------------------------------------
worker "./mcp-call agentd__transition '{\"state\":\"plan\"}' one__echo '{\"a\":1}' one__echo '{\"a\":2}' one__die '{}'
    ./mcp-call agentd__transition '{\"state\":\"act\",\"reason\":\"now\"}' agentd__result '{\"result\":{\"n\":9007199254740993,\"s\":\"a\\u0000b\"}}'
    ${gate_wait} ./mcp-call agentd__transition '{\"state\":\"observe\"}'" "$one"
gate_shut
ash agent run worker --detach >/dev/null
counted() { [ "$(calls one__echo calls)" = 2 ] && [ "$(latest worker .activity)" = act ]; }
check "a live session shows its calls and activity" eventually 30 counted
is "errors are counted" "$(calls one__die errors)" 1
is "and only errors" "$(calls one__echo errors)" 0
is "latencies are numbers" "$(calls one__echo 'p50_ms | type')$(calls one__echo 'p99_ms | type')" numbernumber
is "the result is there while it lives" "$(ash --json session show worker@latest | grep -o '9007199254740993')" 9007199254740993
is "its plugins" "$(ash --json session show worker@latest | jq -c '[.plugins[] | [.name, .state]]')" '[["one","ready"]]'
status "for people" 0 ash session show worker@latest
like "its activity" "$out" 'Activity: +act, since 20'
like "its result" "$out" 'Result: .*9007199254740993'
like "its plugins" "$out" 'PLUGIN +STATE +TOOLS +WHY'
like "a table of its tools" "$out" 'TOOL +CALLS +ERRORS +P50 +P99'
like "with a line for each" "$out" 'one__echo +2 +0 +[0-9.]+ ms'
pid=$(daemon runnerd)
kill -KILL "$pid"
eventually 10 fails kill -0 "$pid"
check "the counts survive a kill of runnerd" eventually 20 counted
gate_open
ash session wait worker@latest >/dev/null 2>&1
is "an ended session shows them too" "$(calls one__echo calls)" 2
is "also the calls of its last moments" "$(calls agentd__transition calls)" 3
is "and its activity" "$(latest worker .activity)" observe
is "and its result, byte for byte" "$(ash --json session show worker@latest | grep -o '"result":{"n":9007199254740993,"s":"a\\u0000b"}')" \
    '"result":{"n":9007199254740993,"s":"a\u0000b"}'
worker "./mcp-call agentd__result '{\"result\":{\"n\":9007199254740993}}'" "$one"
like "run --json has it" "$(ash --json agent run worker 2>/dev/null)" '"result":\{"n":9007199254740993'
is "a list has it not" "$(ash --json session list | jq -c '.[0].tools, .[0].result' | xargs)" '[] null'
id=$(latest worker .id)
runnerd=$(daemon runnerd)
kill -STOP "$runnerd"
status "while runnerd does not answer" 0 ash --json session show "$id"
is "the rest of a session is shown" "$(jq -c '[.outcome, .tools, .result]' <<<"$out")" '["success",null,null]'
kill -CONT "$runnerd"
file=$dir/log/worker/$id.tools
check "the record lies beside the log" test -s "$file"
echo damaged >"$file"
status "a damaged record" 0 ash --json session show "$id"
is "hides nothing but itself" "$(jq -c '[.outcome, .tools]' <<<"$out")" '["success",[]]'

# --- an optional plugin that failed ----------------------------------------------------------------------
worker true 'mcp_servers: [{name: one, command: ./mcp-server}, {name: two, command: ./nothing-here, required: false}]'
status "a session without an optional plugin" 0 ash agent run worker
status "shows it" 0 ash session show worker@latest
like "in its table" "$out" 'two +failed +0 +exec of'
is "in JSON too" "$(ash --json session show worker@latest | jq -r '.plugins[1].state')" failed
like "with the reason" "$(ash --json session show worker@latest | jq -r '.plugins[1].why')" 'nothing-here: No such file'

# --- budgets ----------------------------------------------------------------------------------------------
worker "./mcp-call one__echo '{\"a\":1}' one__echo '{\"a\":2}' one__echo '{\"a\":3}'; read -r _ </dev/zero" \
    "$one"$'\nbudget: {max_tool_calls: 2}'
ash agent run worker >"$dir/budget.out" 2>&1
is "one call more than the budget ends the session" "$(latest worker .outcome)" budget_exceeded
like "with the reason" "$(latest worker .reason)" '2 tool calls'
is "the calls before were made" "$(grep -c 'one__echo: ok' "$dir/log/audit.log")" 4
like "the last one is told" "$(<"$dir/log/audit.log")" 'one__echo: budget'

# --- idle time ----------------------------------------------------------------------------------------------
worker "./mcp-call one__sleep '{}' one__sleep '{}' >/dev/null; echo done" "$one"$'\nlifecycle: {idle_timeout_secs: 1}'
ash agent run worker >/dev/null 2>&1
is "an agent that waits for a tool is not idle" "$(latest worker .outcome)" success

# --- a plugin that talks and talks ----------------------------------------------------------------------------
worker "./mcp-call one__chatter '{}'" "$one"
ash agent run worker >"$dir/chatter.out" 2>&1
like "what a plugin says is bounded" "$(ash --json session logs worker@latest | jq -r 'select(.stream == "plugin-one") | .text')" 'bytes more were dropped: over 64 KiB a second'
fails test "$(stat -c %s "$dir/log/worker/$(latest worker .id).jsonl")" -gt 1000000 || fail "and not in the log"

# --- a plugin that has much to say at its end ----------------------------------------------------------------
worker "./mcp-call one__echo '{}'" 'mcp_servers: [{name: one, command: ./mcp-server, args: [last]}]'
ash agent run worker >/dev/null 2>&1
like "a plugin's last words are read to their end" "$(ash session logs worker@latest 2>&1)" 'has written all that it had'
[ "$failed" -eq 0 ]

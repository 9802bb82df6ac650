#!/bin/bash
# Plugins: MCP servers in sandboxes of their own, their tools behind the agent's socket.
# timeout: 240
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
need_root "plugins"
instance_new
gate_new
printf '%s\n' "ceilings: {allowed_context: [$dir]}" >>"$dir/agentd.yaml"
instance_up "the instance starts"

# tool_agent NAME BODY SERVER…: an agent with these plugins. A SERVER is a flow mapping without its
# command; the test's server and client lie in the install folder.
tool_agent() {
	local name=$1 body=$2 manifest server
	shift 2
	mkdir -p "$dir/agents/$name"
	# What ran a moment ago may still be busy: as new files.
	cp --remove-destination "$BUILD/tests/mcp-server" "$BUILD/tests/mcp-call" "$dir/agents/$name/"
	manifest=$(agent "$name" "cd '$dir/agents/$name'; $body" "$(printf '%s\n' "${extra:-}" \
	    'mcp_servers:' && for server; do printf '  - {command: ./mcp-server, %s}\n' "$server"; done)")
	ash agent install --replace "$manifest" >"$dir/install.out" 2>&1 || {
		fail "the agent $name installs"
		note "$(<"$dir/install.out")"
	}
}

# --- tools ----------------------------------------------------------------------------------------
tool_agent caller "./mcp-call list '' one__echo '{\"n\":9007199254740993,\"s\":\"a\\u0000b\"}' two__echo '{}'
    cat /run/agentd/tools.json" 'name: one' 'name: two, mounts: [home]'
snapshot_take
status "a session with two plugins" 0 ash agent run caller
like "both plugins' tools are listed" "$out" '"one__echo".*"two__echo"'
like "the runtime's own too" "$out" '"agentd__mission"'
like "arguments arrive byte for byte" "$out" '9007199254740993.*a\\\\u0000b'
like "tools.json names them" "$(tail -n 1 <<<"$out")" 'two__run'
like "the plugins' standard error is in the log" "$(ash session logs caller@latest 2>&1)" 'the plugin starts'
like "each has seen the end of its input" "$(ash session logs caller@latest 2>&1)" 'has seen its input end'
settled "plugins leave nothing behind"
like "each call is in the audit log" "$(<"$dir/log/audit.log")" '"action":"tool.call".*one__echo: ok'
is "no value of a call is in the audit log" "$(grep -c 9007199254740993 "$dir/log/audit.log")" 0

servers=()
for i in {1..32}; do servers+=("name: p$i"); done
tool_agent most "cat /run/agentd/tools.json" "${servers[@]}"
status "a session with as many plugins as a manifest may name" 0 ash agent run most
is "every one of them is there" "$(jq '[.. | .name? // empty | strings | select(endswith("__echo"))] | length' <<<"$out")" 32

# --- the bridge, for clients that speak over standard input and output ------------------------------
tool_agent bridge "(printf '%s\n' '{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{\"protocolVersion\":\"2025-06-18\",\"capabilities\":{},\"clientInfo\":{\"name\":\"t\",\"version\":\"1\"}}}' \
    '{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}' \
    '{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"tools/call\",\"params\":{\"name\":\"one__echo\",\"arguments\":{\"via\":\"bridge\"}}}') | env -i /run/agentd/mcp-bridge" 'name: one'
like "a client of the bridge calls a plugin's tool" "$(ash agent run bridge 2>/dev/null)" '"id":2.*via.*bridge'

# --- what a plugin sees -----------------------------------------------------------------------------
# look COMMAND [SERVER]: what a plugin's shell prints for it; no quotes.
look() {
	tool_agent looker "./mcp-call one__run '{\"command\":\"$1\"}'" "name: one${2:+, $2}"
	ash agent run looker 2>/dev/null | jq -r '.result.content[0].text'
}
is "it has a uid of its own" "$(look 'id -u')" 3000
is "one that sees the home is the agent to it" "$(look 'id -u' 'mounts: [home]')" 1000
like "it sees no process but its own" "$(look 'echo /proc/[0-9]*')" '^/proc/[0-9]+ /proc/[0-9]+$'
like "it has a network namespace of its own" "$(look 'readlink /proc/self/ns/net')" '^net:'
fails test "$(look 'readlink /proc/self/ns/net')" = "$(readlink /proc/self/ns/net)" || fail "it is in the host's network"
is "it has no agent socket" "$(look 'ls /run/agentd 2>/dev/null | wc -l')" 0
is "its home is empty" "$(look 'ls -A /home/agent | wc -l')" 0
like "install_dir is read-only" "$(look "touch $dir/agents/looker/x 2>&1")" 'Read-only'
is "it has no capabilities" "$(look 'grep CapEff /proc/self/status | cut -f2')" 0000000000000000
is "it is under a filter" "$(look 'grep ^Seccomp: /proc/self/status | cut -f2')" 2
is "the environment is its own" "$(look 'env | cut -d= -f1 | sort | xargs')" \
    "AGENT_NAME CREDENTIALS_DIRECTORY HOME LANG LOGNAME PATH PWD SCARAB_AGENT_ID SCARAB_PLUGIN SCARAB_SESSION_ID TMPDIR USER XDG_RUNTIME_DIR"
here=$dir/agents/homes
tool_agent homes "cd /home/agent; echo agent >file
    $here/mcp-call one__run '{\"command\":\"cat /home/agent/file; echo plugin >/home/agent/back\"}' >/dev/null; cat back" \
    'name: one, mounts: [home]'
is "both write one home" "$(ash agent run homes 2>/dev/null)" plugin

# --- deaths -----------------------------------------------------------------------------------------
# In an agent: calls until the answer holds a text, at most 200 times.
# shellcheck disable=SC2016
again='again() { i=0; until ./mcp-call "$1" "$2" | grep -q "$3"; do i=$((i + 1)); [ $i -lt 200 ] || exit 9; done; }'
tool_agent dies "$again; ./mcp-call one__die '{}' two__echo '{\"a\":1}'
    again one__echo '{\"back\":1}' back" 'name: one' 'name: two'
status "a plugin that dies" 0 ash agent run dies
like "fails its call" "$out" '"isError":true'
like "the other one answers" "$out" '\\"a\\":1'
like "is started again" "$(ash session logs dies@latest 2>&1 | grep -c 'the plugin starts')" '^3$'
tool_agent lingers "$again; ./mcp-call one__linger '{}' one__die '{}'
    again one__run '{\"command\":\"echo /proc/[0-9]*\"}' 'text\":\"/proc/[0-9]* /proc/[0-9]*.n\"'" 'name: one'
status "what a plugin started ends with it" 0 ash agent run lingers
tool_agent deaf "./mcp-call one__linger '{}'" 'name: one, args: [deaf]'
snapshot_take
status "a plugin that ignores every wish to end" 0 ash agent run deaf
settled "is gone too"

# --- failures ---------------------------------------------------------------------------------------
tool_agent absent "true" 'name: one'
sed -i 's,./mcp-server,./no-such-server,' "$dir/agents/absent/manifest.yaml"
ash agent install --replace "$dir/agents/absent/manifest.yaml" >/dev/null
status "a required plugin that cannot start" 125 ash agent run absent
like "fails the set-up by name" "$err" 'plugin one.*no-such-server'
is "in the step tools" "$(latest absent '.step // .failed_step')" tools
tool_agent optional "cat /run/agentd/tools.json; ./mcp-call two__echo '{}'" 'name: one, required: false' 'name: two'
sed -i '0,/.\/mcp-server/s,./mcp-server,./no-such-server,' "$dir/agents/optional/manifest.yaml"
ash agent install --replace "$dir/agents/optional/manifest.yaml" >/dev/null
status "an optional one that cannot start fails nothing" 0 ash agent run optional
tool_agent mute "true" 'name: one, args: [mute], start_timeout: 200ms'
snapshot_take
status "one that never answers" 125 ash agent run mute
like "is waited for as long as it may take" "$err" 'plugin one'
settled "failed set-ups leave nothing behind"

# --- restarts of the daemons ---------------------------------------------------------------------------
extra=$gate_context tool_agent lives "./mcp-call one__echo '{\"before\":1}'; $gate_wait ./mcp-call one__echo '{\"after\":1}'" 'name: one'
gate_shut
snapshot_take
ash agent run lives --detach >/dev/null
called() { grep -rqs before "$dir/log/lives"; }
eventually 10 called
runnerd=$(daemon runnerd)
kill -KILL "$runnerd"
eventually 10 fails kill -0 "$runnerd"
eventually 10 ash --quiet session show lives@latest
gate_open
is "a session with plugins outlives runnerd" "$(ash session wait lives@latest >/dev/null 2>&1; latest lives .outcome)" success
like "and its tools go on" "$(cat "$dir"/log/lives/*.jsonl)" 'after'
settled_fds "and nothing is left"

gate_shut
ash agent run lives --detach >/dev/null
eventually 10 grep -qs before "$dir/log/lives/$(latest lives .id).jsonl"
broker=$(processes | awk '$2 == "broker" { print $1 }')
kill -KILL "$broker"
ash session wait lives@latest >/dev/null 2>&1
gate_open
is "a session whose broker dies fails" "$(latest lives .outcome)" failed
is "with that reason" "$(latest lives .reason)" broker
settled_fds "and leaves nothing"

# --- what is refused at install ------------------------------------------------------------------------
manifest=$(agent http true 'mcp_servers: [{name: far, transport: Http, url: "https://example.org/mcp"}]')
status "a plugin over a network is refused" 7 ash agent install "$manifest"
like "with the reason" "$err" 'far.*Http'
[ "$failed" -eq 0 ]

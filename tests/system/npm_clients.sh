#!/bin/bash
# Clients of MCP from npm, as they come, in the sandbox of an agent with the bridge: the SDK's, two majors
# and both eras; the inspector's command line in each era; the conformance suite for servers, over HTTP
# inside the sandbox.
# timeout: 300
# shellcheck disable=SC2154
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
. "$root/tests/npm.sh"
need_root "agents"
npm_need
instance_new
printf '%s\n' "ceilings: {allowed_context: [$npm]}" >>"$dir/agentd.yaml"
instance_up "the instance starts"
modules=/context/npm/node_modules
scope=$modules/@modelcontextprotocol
new_node=/context/npm/${node#"$npm/"}
context="context: [{source: $npm, target: /context/npm}]"
everything="mcp_servers: [{name: everything, command: /usr/bin/env, args: [node, $scope/server-everything/dist/index.js], mounts: [context], passthrough: true}]"

# --- the SDK's clients ------------------------------------------------------------------------------
install sdk "for how in v1 legacy auto modern; do
	$new_node $dir/agents/sdk/sdk_client.mjs $modules \$how >/tmp/\$how 2>&1 || echo \"\$how: exit status \$?\" >>/tmp/\$how
	sed \"s/^/\$how: /\" /tmp/\$how
done" "$(printf '%s\n' "$context" "$everything")"
cp "$root/tests/mcp/sdk_client.mjs" "$dir/agents/sdk/"
status "the session of the SDK's clients" 0 ash agent run sdk
for how in v1 legacy auto modern; do
	is "the SDK's client, $how" "$(sed -n "s/^$how: //p" <<<"$out")" "tools 18
echo Echo: café 😀
progress true
wrong arguments true
unknown tool -32602
fifty at once true
prompt 1
mission sdk
closed"
done

# --- the inspector ----------------------------------------------------------------------------------
install inspector "inspect() { $new_node $scope/inspector/clients/launcher/build/index.js --cli --quiet --format json --protocol-era \"\$@\" /run/agentd/mcp-bridge; }
for era in legacy auto modern; do
	inspect \$era --method tools/list | sed \"s/^/\$era: /\"
	inspect \$era --method tools/call --tool-name get-sum --tool-args-json '{\"a\":40,\"b\":2}' | sed \"s/^/\$era: /\"
	inspect \$era --method resources/list | sed \"s/^/\$era: /\"
	inspect \$era --method tools/call --tool-name nosuch 2>&1 | sed \"s/^/\$era: /\"
done
inspect legacy --method tools/call --tool-name get-sum --tool-args-json '{\"a\":40,\"b\":2}' --load --load-requests 500 --load-concurrency 16 | sed 's/^/load: /'" \
    "$(printf '%s\n' "$context" "$everything")"
status "the session of the inspector" 0 ash agent run inspector
for era in legacy auto modern; do
	said=$(sed -n "s/^$era: //p" <<<"$out")
	is "the inspector, $era: lists the tools" "$(sed -n 1p <<<"$said" | jq '.result.tools | length')" 18
	is "the inspector, $era: calls one" "$(sed -n 2p <<<"$said" | jq -r '.result.content[0].text')" "The sum of 40 and 2 is 42."
	is "the inspector, $era: lists resources" "$(sed -n 3p <<<"$said" | jq '.result.resources | length > 3')" true
	like "the inspector, $era: is told of an unknown tool" "$(sed -n 4p <<<"$said")" 'nosuch'
done
said=$(sed -n 's/^load: //p' <<<"$out")
is "the inspector: 500 calls, 16 at once, none fails" "$(jq '.result.ok' <<<"$said")" 500
note "$said"

# --- the conformance suite ----------------------------------------------------------------------------
install conformance "$new_node $modules/supergateway/dist/index.js --stdio /run/agentd/mcp-bridge --outputTransport streamableHttp \
    --stateful --protocolVersion 2025-11-25 --port 8000 --healthEndpoint /ready --logLevel none &
until $new_node -e 'fetch(\"http://127.0.0.1:8000/ready\").then(() => process.exit(0), () => process.exit(1))'; do sleep 0.1; done
cd /tmp && $new_node $scope/conformance/dist/index.js server --url http://127.0.0.1:8000/mcp
kill %1" "$(printf '%s\n' "$context" "mcp_servers: [{name: conformance, command: /usr/bin/python3, args: [$dir/agents/conformance/conformance_plugin.py], passthrough: true}]")"
cp "$root/tests/mcp/conformance_plugin.py" "$dir/agents/conformance/"
ash agent run conformance >"$dir/suite" 2>&1
expected=$root/tests/mcp/expected-failures.txt
while read -r mark scenario; do
	case $mark:$(grep -c "^$scenario " "$expected") in
	'✓:0') ok "conformance: $scenario" ;;
	'✗:1') ok "conformance: $scenario fails, as expected:$(sed -n "s/^$scenario *\(.*\)/ \1/p" "$expected")" ;;
	'✓:1') fail "conformance: $scenario passes: take its line out of ${expected#"$root/"}" ;;
	*) fail "conformance: $scenario" ;;
	esac
done < <(sed -n 's/^\([✓✗]\) \([a-z0-9-]*\): .*/\1 \2/p' "$dir/suite")
is "conformance: every scenario was tried" "$(sed -n '/=== SUMMARY/,$p' "$dir/suite" | grep -c '^[✓✗]')" 30
while read -r scenario; do
	grep -q "^[✓✗] $scenario:" "$dir/suite" || fail "conformance: there is no scenario $scenario: take its line out of ${expected#"$root/"}"
done < <(sed -n 's/^\([a-z][a-z0-9-]*\) .*/\1/p' "$expected")
[ "$failed" -eq 0 ]

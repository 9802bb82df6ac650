#!/bin/bash
# Networks of plugins: each has its own rules, its own egress process and its own meters, and what one
# may reach neither the agent nor another plugin reaches by it.
# timeout: 250
# shellcheck source=tests/internet.sh
. "$(dirname "$0")/../internet.sh" "networks of agents" "$@"
instance_start "ceilings: {trust_level: trusted, allowed_context: [$work/agent-ca]}"

# tool_agent NAME BODY SPEC SERVER…: an agent with these plugins, flow mappings without their command.
tool_agent() {
	local name=$1 body=$2 spec=$3 manifest server
	shift 3
	mkdir -p "$dir/agents/$name"
	cp --remove-destination "$BUILD/tests/mcp-server" "$BUILD/tests/mcp-call" "$dir/agents/$name/"
	manifest=$(agent "$name" "cd '$dir/agents/$name'; $body" "$(printf '%s\n' "$spec" \
	    'mcp_servers:' && for server; do printf '  - {command: ./mcp-server, %s}\n' "$server"; done)")
	ash agent install --replace "$manifest" >"$dir/install.out" 2>"$dir/err"
}
installs() { tool_agent "$@" || fail "the agent $1 installs: $(<"$dir/err")"; }
refused() {
	local text=$1 want=$2
	tool_agent refused : "$3" "name: one, network: $4"
	is "$text" $? "$want"
	like "$text, says the error" "$(<"$dir/err")" "$5"
}
refused "a rule is checked as the agent's are" 4 "" '{policy: allowlist, allowlist: ["10.0.0.0/8:443"]}' \
    'mcp_servers: one: network.allowlist: 10\.0\.0\.0/8:443 is private'
refused "so is its policy" 4 "" '{policy: full}' 'mcp_servers: one: network.policy full is not allowed at trust_level sandboxed'
refused "and what capabilities give" 4 'capabilities: ["net.connect:web.example:80"]' '{policy: allowlist, allowlist: ["web.example:443"]}' \
    'no net.connect that covers web.example:443'
refused "no plugin has the host's network" 4 'trust_level: trusted' '{policy: host}' 'policy host'

installs caller : "" "name: one"
installs talk : "" "name: one" # both have their ids before
snapshot_take

# asks SERVER COMMAND: what the plugin's shell prints for it.
asks() { printf "./mcp-call %s__run '{\\\"command\\\":\\\"%s\\\"}' | sed -n 's/^/%s: /p'; " "$1" "$2" "$1"; }
get='curl -sS -m 20 http://web.example/ 2>&1; true'
other_get='curl -sS -m 20 http://other2.example/ 2>&1; true'
installs caller "$(asks one "$get")$(asks two "$get")$(asks two "$other_get")$(asks three "$get")$(asks full "curl -sS -m 20 http://$other/ 2>&1; true")
    echo \"agent: \$(curl -sS -m 20 http://web.example/ 2>&1)\"" "trust_level: trusted
network: {policy: allowlist, allowlist: [\"web6.example:80\"]}" \
    'name: one, network: {policy: allowlist, allowlist: ["web.example:80"]}' \
    'name: two, network: {policy: allowlist, allowlist: ["*.wild.example:443"]}' \
    'name: three' 'name: full, network: {policy: full}'
status "a session with four plugins" 0 ash agent run caller
said=$out
like "one reaches what its rules name" "$said" 'one: .*hello web.example'
like "another has rules of its own" "$said" 'two: .*Could not resolve host: web.example'
like "the third has no network" "$said" 'three: .*Could not resolve host: web.example'
like "policy full is its own, too" "$said" 'full: .*hello 45.33.7.2'
like "and the agent's rules are the agent's" "$said" 'agent: .*Could not resolve host: web.example'
# shellcheck disable=SC2016
metered='.network[] | select(.plugin == $plugin and .kind == $kind) | [.name, .connections, .denied] | @csv'
shows() { ash --json session show caller@latest | jq -r --arg plugin "$1" --arg kind "${2:-name}" "$metered"; }
is "each has meters of its own" "$(shows one)" '"web.example",1,0'
like "with what was denied" "$(shows two)" '"web.example",0,[12]'
like "addresses too" "$(shows full addresses)" ',1,0$'
like "the audit log says whose it was" "$(audited network.use)" '(^|
)plugin one: web.example:80($|
)'
like "and of denials" "$(audited network.deny)" 'plugin two: web.example: no rule names it'
like "ash explain tells the rules of each" "$(ash --json explain caller | jq -c '.tools[0]')" '"network":"allowlist","network_allowlist":\["web.example:80"\]'
settled "plugins with networks leave nothing behind"

# --- deaths -----------------------------------------------------------------------------------------

installs talk "while :; do $(asks one "$get")$(asks two "$get") sleep 0.2; done" "" \
    'name: one, network: {policy: allowlist, allowlist: ["web.example:80"]}' \
    'name: two, network: {policy: allowlist, allowlist: ["web.example:80"]}'
session=$(ash agent run talk --detach)
lines() { ash session logs talk@latest 2>&1 | grep -cE "$1"; }
more() { [ "$(lines "$1")" -gt "$2" ]; }
check "two plugins talk" eventually 20 more 'two: .*hello' 0
for one in dialer runnerd dialer; do
	old=$(daemon "$one")
	kill -KILL "$old"
	new() { [ -n "$(daemon "$one")" ] && [ "$(daemon "$one")" != "$old" ] && ash status >/dev/null 2>&1; }
	check "a $one that died is started again" eventually 20 new
	n=$(lines 'one: .*hello')
	check "and the plugins talk on" eventually 20 more 'one: .*hello' $((n + 2))
done
of_plugin() { ash --json session show talk@latest | jq ".network[] | select(.plugin == \"$1\") | .connections"; }
check "the meters of an adopted session are told again" [ "$(of_plugin one)" -gt 2 ]
mapfile -t egress < <(processes | awk '$NF == "egress" { print $1 }')
is "each has an egress process" ${#egress[@]} 2
kill -KILL "${egress[0]}"
check "one that is killed is told in the log" eventually 20 more 'the egress process of plugin-(one|two) ended' 0
was_lost() { audited network.lost | grep -qE 'plugin (one|two)'; }
check "and in the audit log" eventually 10 was_lost
lost=$(ash session logs talk@latest 2>&1 | sed -nE 's/.*egress process of plugin-(one|two) ended.*/\1/p' | head -n 1)
if [ "$lost" = one ]; then left=two; else left=one; fi
n=$(lines "$left: .*hello")
check "the other plugin talks on" eventually 20 more "$left: .*hello" $((n + 2))
check "that one does not" eventually 20 more "$lost: .*curl" 0
ash session cancel "$session" >/dev/null
has_ended() { [ "$(latest talk .state)" = ended ]; }
check "the session ends" eventually 20 has_ended
settled_fds "and nothing is left of it"

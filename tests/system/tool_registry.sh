#!/bin/bash
# What tools an agent has, and that they are what was accepted: ash tool list, diff, pin.
# timeout: 240
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
need_root "registries"
instance_new
gate_new
printf '%s\n' "ceilings: {allowed_context: [$dir]}" >>"$dir/agentd.yaml"
instance_up "the instance starts"

# teller NAME BODY SERVER…: an agent with these plugins.
teller() {
	local name=$1 body=$2 manifest server
	shift 2
	mkdir -p "$dir/agents/$name"
	cp --remove-destination "$BUILD/tests/mcp-server" "$BUILD/tests/mcp-call" "$dir/agents/$name/"
	manifest=$(agent "$name" "cd '$dir/agents/$name'; $body" "$(printf '%s\n' "$gate_context" \
	    'mcp_servers:' && for server; do printf '  - {command: ./mcp-server, %s}\n' "$server"; done)")
	ash agent install --replace "$manifest" >"$dir/install.out" 2>&1 || {
		fail "the agent $name installs"
		note "$(<"$dir/install.out")"
	}
}
# tool AGENT NAME KEY: of one tool in ash tool list.
tool() { ash --json tool list "$1" | jq -r ".[] | select(.name == \"$2\") | .$3"; }

# --- list ---------------------------------------------------------------------------------------------
gate_open
teller teller "./mcp-call one__echo '{\"first\":1}'" 'name: one, ask: [linger], deny: [die]'
status "an agent that never ran" 0 ash --json tool list teller
is "has no tools yet" "$out" '[]'
status "no such agent" 3 ash tool list nobody
status "what is no name and no id" 3 ash tool list '../x'
status "its first session" 0 ash agent run teller
status "its tools" 0 ash tool list teller
like "in a table" "$out" 'NAME +SERVER +STATE +PINNED +DESCRIPTION'
like "each with its server, state and digest" "$out" 'one__echo +one +open +[0-9a-f]{12} +Gives back what it gets'
like "the runtime's own too" "$out" 'agentd__mission +agentd +open'
is "one that asks" "$(tool teller one__linger state),$(tool teller one__linger ask)" ask,true
is "one that is denied" "$(tool teller one__die state)" denied
is "a pinned one" "$(tool teller one__echo pinned)" true
is "with its digest" "$(tool teller one__echo digest)" "$(tool teller one__echo pinned_digest)"
is "as the first session saw it" "$(tool teller one__echo pinned_by_session)" "$(latest teller .id)"
is "its name at the plugin" "$(tool teller one__echo tool)" echo
id=$(latest teller .id)
status "the session's own, after its end" 0 ash --json tool list "$id"
is "are the same" "$(jq -c '[.[].name]' <<<"$out")" "$(ash --json tool list teller | jq -c '[.[].name]')"
status "by the beginning of its id" 0 ash --json tool list "${id:0:18}"
status "AGENT@latest" 0 ash --json tool list teller@latest
status "no differences" 0 ash --json tool diff teller
is "are none" "$out" '[]'
first=$(tool teller one__echo digest)

# --- a definition that changed between two sessions ---------------------------------------------------
teller teller "./mcp-call list '' one__echo '{\"second\":1}' one__run '{\"command\":\"echo ran\"}'" \
    'name: one, args: [other]' 'name: two'
status "a session whose plugin changed" 0 ash agent run teller
is "the changed tool is not listed" "$(head -n 1 <<<"$out" | grep -c '"one__echo"')" 0
like "the others are" "$(head -n 1 <<<"$out")" '"one__run".*"two__echo"'
like "it cannot be called" "$out" 'Unknown tool: one__echo: its definition has changed'
like "the others can" "$out" 'ran'
is "it is in quarantine" "$(tool teller one__echo state)" quarantined
is "and so told" "$(tool teller one__echo quarantined),$(tool teller one__echo pinned)" true,false
is "an install over the agent keeps its pins" "$(tool teller one__echo pinned_digest)" "$first"
is "a new plugin's tools are pinned" "$(tool teller two__echo pinned)" true
status "the difference" 0 ash tool diff teller
like "names the tool" "$out" 'one__echo: [0-9a-f]{12}, pinned is [0-9a-f]{12} of 20'
like "what it was" "$out" '- description: "Gives back what it gets"'
like "and what it is" "$out" '\+ description: "Sends what it gets to somebody else"'
is "and nothing that did not change" "$(grep -c inputSchema <<<"$out")" 0
is "in JSON too" "$(ash --json tool diff teller | jq -r '.[0].definition.description, .[0].pinned_definition.description')" \
    $'Sends what it gets to somebody else\nGives back what it gets'
status "a tool that is none" 3 ash tool pin teller one__nothing
# shellcheck disable=SC2001
shown=$(sed -n "s/^  accept it with 'ash tool pin teller \(.*\)'$/\1/p" <<<"$(ash tool diff teller)")
is "the difference says how it is accepted" "$shown" "one__echo@$(tool teller one__echo digest)"
status "one that was another when it was looked at" 5 ash tool pin teller "one__echo@$first"
like "is not accepted" "$err" 'one__echo is another one'
is "nor any other" "$(tool teller one__echo state)" quarantined
status "the beginning of a digest is none" 5 ash tool pin teller "${shown:0:22}"
status "the changed one is accepted" 0 ash tool pin teller "$shown"
like "by name" "$out" 'one__echo is pinned as [0-9a-f]{12}'
is "then nothing differs" "$(ash --json tool diff teller)" '[]'
is "and it is open" "$(tool teller one__echo state)" open
is "who accepted it" "$(tool teller one__echo pinned_by_uid)" 0
like "is in the audit log" "$(grep '"action":"tool.pin"' "$dir/log/audit.log" | head -n 1)" '"agent":"teller".*"uid":0.*one/echo [0-9a-f]{12}'
status "once more is nothing" 0 ash tool pin teller
status "no such agent" 3 ash tool pin nobody
status "its next session" 0 ash agent run teller
like "has it" "$out" 'second'
teller teller "./mcp-call one__echo '{\"third\":1}'" 'name: one'
status "the one before is a change again" 0 ash agent run teller
like "and not called" "$out" 'its definition has changed'
status "all are accepted" 0 ash tool pin teller

# --- in mid-session -----------------------------------------------------------------------------------
# shellcheck disable=SC2016
again='again() { i=0; until ./mcp-call "$1" "$2" | grep -q "$3"; do i=$((i + 1)); [ $i -lt 20000 ] || exit 9; done; }'
teller teller "$again; ./mcp-call one__change '{}'; again one__echo '{}' 'has changed'; echo changed
    ${gate_wait} again one__echo '{\"fine\":1}' 'fine'; echo accepted" 'name: one'
gate_shut
ash agent run teller --detach >/dev/null
logged() { ash session logs teller@latest 2>/dev/null | grep -q "$1"; }
eventually 30 logged '^changed' || fail "a definition that changes in mid-session is put into quarantine"
quarantined() { [ "$(tool teller one__echo state)" = quarantined ]; }
check "a live session's registry shows it" eventually 10 quarantined
pid=$(daemon runnerd)
kill -KILL "$pid"
eventually 10 fails kill -0 "$pid"
check "also after a kill of runnerd" eventually 20 quarantined
# Under this session another install has other servers, whose names are not this session's.
teller teller "true" 'name: three'
pid=$(daemon runnerd)
kill -KILL "$pid"
eventually 10 fails kill -0 "$pid"
eventually 20 quarantined
is "a session keeps its plugins' names over an install" "$(ash --json session show teller@latest | jq -c '[.plugins[].name]')" '["one"]'
status "an operator accepts it" 0 ash tool pin teller one__echo
gate_open
ash session wait teller@latest >/dev/null 2>&1
is "the session may call it at once" "$(latest teller .outcome)" success
like "and did" "$(ash session logs teller@latest 2>/dev/null)" 'accepted'

# --- what goes with the agent ---------------------------------------------------------------------------
check "pins are kept" test -s "$dir/state/tools/teller.pins"
is "by root alone" "$(stat -c %a "$dir/state/tools")" 700
ash agent remove teller >/dev/null
check "over a removal" test -e "$dir/state/tools/teller.pins"
status "a purge" 0 ash agent remove teller --purge
is "takes them" "$(find "$dir/state/tools" -mindepth 1)" ""
[ "$failed" -eq 0 ]

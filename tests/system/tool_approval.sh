#!/bin/bash
# A call that an ask glob matches waits for an operator: ash pending, approve, deny.
# timeout: 240
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
need_root "approvals"
instance_start ""

# asker BODY: an agent whose tool echo waits for an operator; run does not.
asker() {
	local manifest
	mkdir -p "$dir/agents/asker"
	cp --remove-destination "$BUILD/tests/mcp-server" "$BUILD/tests/mcp-call" "$dir/agents/asker/"
	manifest=$(agent asker "cd '$dir/agents/asker'; $1" "mcp_servers:
  - {name: one, command: ./mcp-server, ask: ['ec*'], timeout: 20s}")
	ash agent install --replace "$manifest" >"$dir/install.out" 2>&1 || {
		fail "the agent installs"
		note "$(<"$dir/install.out")"
	}
}
waits() { [ "$(ash --json pending | jq length)" -ge "${1:-1}" ]; }
none_waits() { [ "$(ash --json pending | jq length)" -eq 0 ]; }
pending() { ash --json pending | jq -r ".[0].$1"; }
start() { ash agent run asker --detach >/dev/null; }
session_over() { ash session wait asker@latest >"$dir/wait.out" 2>&1; }
said() { ash session logs asker@latest 2>/dev/null; }

# --- one call, approved -----------------------------------------------------------------------------
asker "./mcp-call one__run '{\"command\":\"echo free\"}' one__echo '{\"path\":\"/etc/shadow\",\"n\":1}'"
snapshot_take
start
eventually 20 waits || fail "the call is told"
id=$(pending id)
is "the tool is named" "$(pending tool)" one__echo
is "its server" "$(pending server)" one
is "its agent" "$(pending agent)" asker
is "its session" "$(pending session)" "$(latest asker .id)"
is "the shape of its arguments" "$(pending shape)" '{path:string(11),n:number}'
is "their values, for who decides" "$(ash --json pending | jq -c '.[0].arguments')" '{"path":"/etc/shadow","n":1}'
like "since when" "$(pending asked_at)" '^20[0-9-]*T'
like "until when" "$(pending expires_at)" '^20[0-9-]*T'
status "the table" 0 ash pending
like "has a line for it" "$out" 'one__echo +\{path:string\(11\)'
is "and no values" "$(grep -c shadow <<<"$out")" 0
status "one call with its arguments" 0 ash pending "${id:0:20}"
like "shows them" "$out" 'Arguments: .*/etc/shadow'
status "the beginning of its id is enough" 0 ash approve "${id:0:20}"
like "and what was approved is said" "$out" 'one__echo of asker is approved'
session_over
is "the session goes on" "$(latest asker .outcome)" success
like "the call reached its plugin" "$(said)" 'shadow.*n'
like "the other tool asked nobody" "$(said)" 'free'
like "the answer is in the audit log" "$(grep tool.approve "$dir/log/audit.log")" '"uid":0,.*one__echo: arguments \{path:string'
is "twice: of control and of runnerd" "$(grep -c '"action":"tool.approve"' "$dir/log/audit.log")" 2
like "with who gave it" "$(grep tool.approve "$dir/log/audit.log" | head -n 1)" '"uid":0'
like "the call's line names him" "$(grep 'one__echo: ok' "$dir/log/audit.log")" 'decided by '
is "no value is in the audit log" "$(grep -c shadow "$dir/log/audit.log")" 0
status "who answers it again" 5 ash deny "$id"
like "hears that he is late" "$err" 'approved already, by '
settled "nothing is left"

# --- denied -------------------------------------------------------------------------------------------
asker "./mcp-call one__echo '{\"n\":2}'"
start
eventually 20 waits
status "a call is denied" 0 ash deny "$(pending id)"
session_over
like "then it fails so that a model can recover" "$(said)" 'an operator denied this call.*isError\\?":true'
like "and is told as denied" "$(<"$dir/log/audit.log")" 'one__echo: denied'
is "the agent goes on" "$(latest asker .outcome)" success

# --- ids ----------------------------------------------------------------------------------------------
for id in '' xyz '../../etc' "$(printf 'a%.0s' {1..200})" 00000000-0000-7000-8000-000000000000 $'\e[31m'; do
	status "an id that is none: ${id:0:20}" 3 ash approve "$id"
	status "likewise for deny" 3 ash deny "$id"
	status "likewise for pending" 3 ash pending "$id"
done
status "no id" 2 ash approve
status "two ids" 2 ash deny a b
asker "./mcp-call one__echo '{\"n\":3}' & ./mcp-call one__echo '{\"n\":4}' & wait"
start
eventually 20 waits 2
both=$(ash --json pending | jq -r '.[].id')
first=$(head -n 1 <<<"$both") second=$(tail -n 1 <<<"$both")
for ((length = 0; length < 36; length++)); do [ "${first:length:1}" = "${second:length:1}" ] || break; done
status "the beginning of two ids" 3 ash approve "${first:0:length}"
like "says so" "$err" 'beginning of several'

# --- two operators at once --------------------------------------------------------------------------
for i in 1 2; do
	"$BUILD/ash" -s "$sock" "$([ $i = 1 ] && echo approve || echo deny)" "$first" >"$dir/race.$i" 2>&1 &
	pids[i]=$!
done
for i in 1 2; do
	wait "${pids[i]}"
	echo $?
done >"$dir/codes"
is "of two answers to one call one counts" "$(sort "$dir/codes" | xargs)" "0 5"
status "the other call waits all the same" 0 ash approve "$second"
session_over

# --- restarts -----------------------------------------------------------------------------------------
asker "./mcp-call one__echo '{\"n\":5}' one__echo '{\"n\":6}'"
snapshot_take
start
eventually 20 waits
id=$(pending id)
for role in runnerd agentd-control; do
	pid=$(daemon "$role")
	kill -KILL "$pid"
	eventually 10 fails kill -0 "$pid"
	eventually 20 waits || fail "the call waits after a kill of $role"
	is "a call keeps its id over a kill of $role" "$(pending id)" "$id"
done
status "and is approved then" 0 ash approve "$id"
eventually 20 waits
fails test "$(pending id)" = "$id" || fail "another call has another id"
status "the next one too" 0 ash approve "$(pending id)"
session_over
is "the session ends well" "$(latest asker .outcome)" success
settled_fds "and nothing is left"

# --- the agent that waits goes away -------------------------------------------------------------------
asker "./mcp-call one__echo '{\"n\":7}' & read -r _ </dev/zero & wait"
start
eventually 20 waits
id=$(pending id)
ash session cancel asker@latest >/dev/null
session_over
check "the end of a session ends its calls" eventually 10 none_waits
status "who answers then" 5 ash approve "$id"
[ "$failed" -eq 0 ]

#!/bin/bash
# The audit log: who did what, in a chain of hashes that a script of its own verifies, that goes on
# over restarts, and that shows a change.
# shellcheck disable=SC2154
. "$(dirname "$0")/lib.sh"
instance_start ""
log=$dir/log/audit.log

# Verifies with nothing of the runtime: SHA-256 over the previous hash and the line without its own.
verify() {
	perl -MDigest::SHA=sha256_hex -ne '
		chomp;
		my ($body, $prev, $hash) = /^(.*"prev":"([0-9a-f]{64})"),"hash":"([0-9a-f]{64})"\}$/ or die "line $.: form\n";
		die "line $.: prev\n" if defined $last && $prev ne $last;
		die "line $.: hash\n" if sha256_hex(pack("H*", $prev) . $body . "}") ne $hash;
		die "line $.: seq\n" unless /"seq":$./;
		$last = $hash;
		END { die "no lines\n" unless $last || $?; }' "$1"
}
audited() { jq -c "select($1)" "$log"; }

install quick 'exit 0'
ash agent run quick
install slow 'exec sleep 1000' 'lifecycle: {stop_grace: 100ms}'
id=$(ash agent run slow --detach)
ash session cancel "$id" >/dev/null
ash session wait "$id" 2>/dev/null
printf 'x: [' >"$dir/bad.yaml"
ash agent install "$dir/bad.yaml" >/dev/null 2>&1
ash agent remove slow >/dev/null

is "every line is one JSON object" "$(jq -c type "$log" | sort -u)" '"object"'
check "the chain holds" verify "$log"
like "installing is audited with the operator" "$(audited '.agent == "quick" and .uid == 0 and .pid != null and (.action | test("install"))')" quick
like "so is running" "$(audited '.agent == "quick" and (.action | test("run|start|enqueue"))')" quick
like "so is cancelling" "$(audited '(.action | test("cancel"))')" "$id"
like "so is removing" "$(audited '.agent == "slow" and (.action | test("remove"))')" slow
like "so is a session's end" "$(audited ".session == \"$id\" and (.action | test(\"end\"))")" "$id"
is "times are RFC 3339 with milliseconds" "$(jq -r .time "$log" | grep -cvE '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{3}Z$')" 0
is "secretd owns it, the group reads it" "$(stat -c '%a %u %g' "$log")" "640 $((uid_base + 3)) $((uid_base + 10))"

lines=$(wc -l <"$log")
instance_stop
instance_up "agentd starts again"
ash agent run quick
check "the chain goes on over a restart" verify "$log"
[ "$(wc -l <"$log")" -gt "$lines" ] || fail "nothing was added"
kill -KILL "$(daemon secretd)"
eventually 5 daemon secretd
ash agent run quick
check "and over a killed secretd" eventually 5 verify "$log"

sed '2s/"uid":0/"uid":7/' "$log" >"$dir/forged"
cmp -s "$log" "$dir/forged" && sed '2s/"seq":2/"seq":9/' "$log" >"$dir/forged"
check "a changed line breaks the chain" fails verify "$dir/forged"
sed 2d "$log" >"$dir/forged"
check "so does a missing one" fails verify "$dir/forged"

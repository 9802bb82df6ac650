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

# --- ash audit ------------------------------------------------------------------------------------
entries() { ash --json audit "$@" | jq -c '.[]'; }
is "ash audit --json is every line of the log" "$(entries | jq -S -c . | cksum)" "$(jq -S -c . "$log" | cksum)"
like "for people, a table" "$(ash audit | head -n 1)" '^TIME +ROLE +WHO +ACTION +AGENT +SESSION +ALLOWED +DETAIL'
like "it names the operator" "$(ash audit --agent slow)" 'control +uid 0.* agent\.install'
is "of one agent" "$(entries --agent slow | jq -r .agent | sort -u)" slow
is "of one session" "$(entries --session "$id" | jq -r .session | sort -u)" "$id"
is "the same by the id's beginning" "$(entries --session "${id:0:30}")" "$(entries --session "$id")"
is "the same as the agent's latest" "$(entries --session quick@latest | jq -r .agent | sort -u)" quick
is "since a time to come: none" "$(ash --json audit --since 2099-01-01T00:00:00Z)" "[]"
is "within the last hour: all" "$(entries --since 1h | wc -l)" "$(entries | wc -l)"
status "a time that is none is a usage error" 2 ash audit --since yesterday
status "so is an agent's name that is none" 3 ash audit --agent 'no such'

# The program itself and not the function of that name, whose shell alone would be ended.
"${ash:-$BUILD/ash}" -s "$sock" --json audit -f --agent follow >"$dir/followed" 2>"$dir/err" 9>&- &
follower=$!
install follow 'exit 0'
check "audit -f goes on with entries as they come" eventually 10 grep -q '"agent":"follow"' "$dir/followed"
kill "$follower"
wait "$follower" 2>/dev/null
is "as lines of JSON" "$(jq -r .agent "$dir/followed" | sort -u)" follow

# --- ash audit verify -----------------------------------------------------------------------------
head=$(tail -n 1 "$log" | jq -r .hash)
cp "$log" "$dir/copy"
status "the log is whole" 0 ash audit verify
like "it says what only a head from elsewhere shows" "$out" "against a head from elsewhere"
status "a head that it holds" 0 ash audit verify --head "$head"
ash agent remove follow >/dev/null
status "also when entries were added since" 0 ash audit verify --head "$head"
like "and says where" "$out" "The head given is entry [0-9]+"
status "a head that it does not hold" 1 ash audit verify --head "${head//[0-9]/0}"
like "is told" "$err" "rolled back, cut or replaced"
status "what is no hash" 2 ash audit verify --head abc
is "for programs" "$(ash --json audit verify --head "$head" | jq -c '[.whole, .problem, .head_seq]')" \
    "[true,null,$(wc -l <"$dir/copy")]"
newest=$(tail -n 1 "$log" | jq -r .hash)
status "a copy that was cut at an entry's end passes by itself" 0 ash audit verify "$dir/copy"
status "but not against the head" 1 ash audit verify --head "$newest" "$dir/copy"
sed '3s/"allowed":true/"allowed":false/' "$dir/copy" >"$dir/forged"
status "a changed entry" 1 ash audit verify "$dir/forged"
like "is told with its place" "$err" "forged, line 3: "
sed 2d "$dir/copy" >"$dir/forged"
status "a missing one" 1 ash audit verify "$dir/forged"
like "is told with its number" "$err" "line 2: it is entry 3; entries 2 to 2 are missing"
is "for programs too" "$(ash --json audit verify "$dir/forged" | jq -r '.whole')" false
sed '2{h;d};3G' "$dir/copy" >"$dir/forged"
status "two in the wrong order" 1 ash audit verify "$dir/forged"
head -c -5 "$dir/copy" >"$dir/forged"
status "an end that was cut" 1 ash audit verify "$dir/forged"
like "is told" "$err" "it is cut"

# --- MACs: who computes every hash anew has no key -----------------------------------------------------
status "before there is a store of secrets no entry has a MAC" 0 ash audit verify
like "which is said" "$out" "No entry has a MAC|MACs were not looked at"
printf 'a-value-of-some-length' | ash secret set api-key >/dev/null
ash agent run quick
status "with one, entries have MACs" 0 ash audit verify
like "which are right" "$out" "MACs are right.* up to entry $(wc -l <"$log")"
is "for programs" "$(ash --json audit verify | jq -c '[.whole, .macs.wrong_seq, (.macs.right > 0), .macs.covered_seq == .last_seq]')" \
    "[true,null,true,true]"
status "of a copy they are not looked at" 0 ash audit verify "$log"
like "which is said too" "$out" "MACs were not looked at"
is "the entry of a secret tells which" "$(audited '.action == "secret.set"' | jq -r '.secret // .detail' | grep -c api-key)" 1
instance_stop
cp "$log" "$dir/genuine"
perl -MDigest::SHA=sha256_hex -ne '
	chomp;
	my ($body, $prev) = /^(.*),"prev":"([0-9a-f]{64})","hash":"[0-9a-f]{64}"\}$/ or die;
	$prev = $last if defined $last;
	$body =~ s/"action":"secret.set"/"action":"secret.get"/;
	$body .= qq(,"prev":"$prev");
	$last = sha256_hex(pack("H*", $prev) . $body . "}");
	print qq($body,"hash":"$last"}\n);' "$dir/genuine" >"$dir/forged"
forged=$(grep -n '"action":"secret.get"' "$dir/forged" | cut -d: -f1)
cat "$dir/forged" >"$log"
instance_up "agentd starts with a log whose hashes were computed anew"
ash agent run quick
status "the chain alone does not tell" 0 ash audit verify "$log"
status "its MACs do" 1 ash audit verify
like "and where" "$err" "entry $forged has a wrong MAC"
is "for programs" "$(ash --json audit verify | jq -c '[.whole, .macs.wrong_seq]')" "[false,$forged]"
instance_stop
cat "$dir/genuine" >"$log"
instance_up "agentd starts with the genuine log"
status "which is whole" 0 ash audit verify

# --- a large log becomes an older file ---------------------------------------------------------------
instance_stop
before=$(tail -n 1 "$log" | jq -r .hash)
perl -MDigest::SHA=sha256_hex -e '
	my ($log, $seq, $prev) = @ARGV;
	open my $out, ">>", $log or die;
	while (-s $log < 64 << 20) {
		my $lines = "";
		for (1 .. 64) {
			$seq++;
			my $body = sprintf q({"seq":%d,"time":"2026-01-01T00:00:00.000Z","role":"control","action":"x","agent":null,"session":null,"detail":"%s","mac":null,"prev":"%s"), $seq, "x" x 15000, $prev;
			my $hash = sha256_hex(pack("H*", $prev) . $body . "}");
			$lines .= qq($body,"hash":"$hash"}\n);
			$prev = $hash;
		}
		syswrite $out, $lines;
	}' "$log" "$(tail -n 1 "$log" | jq .seq)" "$before"
instance_up "agentd starts with a large audit log"
ash agent run quick
check "a new audit.log is begun" eventually 10 test "$(find "$dir/log" -name 'audit.log.*' | wc -l)" -eq 1
begun() { head -n 1 "$log" | jq -e '.action == "audit.begin"'; }
check "its first entry says where the chain goes on from" eventually 10 begun
named=$(find "$dir/log" -name 'audit.log.*' -printf '%f\n')
check "the older file is named by an entry near its end" \
    grep -q "^{\"seq\":$((10#${named##*.}))," <(tail -n 5 "$dir"/log/audit.log.*)
status "the chain is whole over both" 0 ash audit verify --head "$before"
is "both are shown" "$(entries --agent quick | head -n 1 | jq .seq)" "$(jq -c 'select(.agent == "quick") | .seq' "$dir/copy" | head -n 1)"
kill -KILL "$(daemon secretd)"
eventually 5 daemon secretd
ash agent run quick
status "and after a killed secretd" 0 ash audit verify
status "the new file alone does not begin the chain" 1 ash audit verify "$log"
mv "$dir"/log/audit.log.* "$dir/older"
status "nor without the older one" 1 ash audit verify
like "which is told" "$err" "are missing"

# A secretd that died before the new file had an entry: the chain goes on in the one before.
last=$(tail -n 1 "$log" | jq .seq)
instance_stop
last=$(tail -n 1 "$log" | jq .seq)
mv "$log" "$log.$(printf %012d "$last")"
: >"$log"
instance_up "agentd starts with an empty audit log beside an older one"
ash agent run quick
is "which is the log again" "$(find "$dir/log" -name 'audit.log*' -printf '%f\n')" audit.log
status "with one chain" 0 ash audit verify "$dir/older" "$log"

# Who follows is told when the instance is gone for good.
"$BUILD/ash" -s "$sock" audit -f >"$dir/followed" 2>"$dir/err" 9>&- &
follower=$!
check "audit -f follows" eventually 10 test -s "$dir/followed"
instance_stop
wait "$follower"
is "audit -f ends when its instance is away for long" $? 6
like "with the reason" "$(cat "$dir/err")" "does not answer"

#!/bin/bash
# Secrets: stored, listed, granted, handed to the agent that they are for and to no other, replaced,
# taken back; the store across restarts, with a key file and with a passphrase.
# timeout: 240
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/system/lib.sh
. "$here/lib.sh"

instance_new
gate_new
echo "ceilings: {allowed_context: [$dir/gate]}" >>"$dir/agentd.yaml"
instance_up "the instance starts"
set_secret() { printf '%s' "$2" | ash secret set "$1" "${@:3}"; }
listed() { ash --json secret list "${2:-$1}" | jq -r ".[] | select(.name == \"$1\") | ${3:-.version}"; }
# What an agent prints of a secret is taken out of its output; turned by 13 it is not known again.
turned='tr a-z n-za-m'
audited() { jq -r "select(.action == \"$1\" and (.agent != \"plain\")) | \"\(.agent) \(.allowed) \(.uid) \(.secret) \(.version) \(.purpose) \(.detail)\"" "$dir/log/audit.log" | tail -n 1; }

# --- the store ------------------------------------------------------------------------------------------
is "an empty store lists nothing" "$(ash --json secret list)" "[]"
check "and has made no key" fails test -e "$dir/secrets.key"
check "the first secret is stored" set_secret api-key "distinctive-value-one"
is "the key was made, root's alone" "$(stat -c '%a %u %s' "$dir/secrets.key")" "400 0 32"
is "the store is secretd's alone" "$(stat -c '%a %u' "$dir"/state/secrets/* | sort -u)" "600 $((uid_base + 3))"
is "secretd's socket is the operators'" "$(stat -c '%a %u %g' "$dir/run/secretd.sock")" "660 0 $((uid_base + 10))"
check "nothing on the disk holds the value" fails grep -rqF "distinctive-value-one" "$dir/state" "$dir/log" "$dir/run"
is "list names it" "$(ash secret list | awk 'NR == 2 { print $1, $2 }')" "api-key 1"
is "and its keys in JSON" "$(ash --json secret list | jq -c '.[0] | keys')" '["created_at","damage","grants","name","size","updated_at","version"]'
check "no list shows a value" fails grep -q distinctive <(ash secret list; ash --json secret list)
check "a second version" set_secret api-key "distinctive-value-two"
is "is version 2" "$(listed api-key)" 2
printf 'a value from a file\n' >"$dir/value"
check "from a file" ash secret set other.key --from "$dir/value"
is "every byte of it counts" "$(listed other.key other.key .size)" 20
status "restoring what has no version before: 3" 3 ash secret restore other.key
set_secret other.key "another value of it" >/dev/null
like "the version before becomes the next" "$(ash secret restore other.key)" "version 3"
is "every byte of it" "$(listed other.key other.key .size)" 20
like "and that is audited" "$(audited secret.restore)" 'true 0 other.key 3 '
check "the one that it replaced can be had again" ash secret restore other.key
is "as the next" "$(listed other.key other.key '"\(.version) \(.size)"')" "4 19"
status "too short a value: 2" 2 set_secret short "1234567"
like "it says how short" "$err" "less than 8 bytes"
status "newlines do not make it longer: 2" 2 bash -c "printf '1234567\n\n' | '$BUILD/ash' -s '$sock' secret set short"
status "32 KiB are stored" 0 bash -c "head -c 32768 /dev/urandom | '$BUILD/ash' -s '$sock' secret set big"
status "one byte more is not: 2" 2 bash -c "head -c 32769 /dev/urandom | '$BUILD/ash' -s '$sock' secret set big"
status "a name that is none: 2" 2 set_secret ../key "some value of it"
status "a value in argv: 2" 2 ash secret set name value
status "a file that is not there: 3" 3 ash secret set x --from "$dir/nowhere"
status "removing what is not there: 3" 3 ash secret remove nothing
status "restoring what is not there: 3" 3 ash secret restore nothing
status "listing what is not there: 3" 3 ash secret list nothing
check "removing one" ash secret remove big
is "it is gone" "$(listed big big 2>/dev/null)" ""

said=$("$BUILD/tests/typed" 'typed-value-xyz' -- "$BUILD/ash" -s "$sock" secret set typed)
is "typed on a terminal: stored" "$?" 0
like "it asked" "$said" "Value of typed: "
check "and nothing of it was shown" fails grep -q typed-value <<<"$said"
is "without its newline" "$(listed typed typed .size)" 15
like "who stored it is in the audit" "$(audited secret.set)" '^null true 0 typed 1 '

# --- grants ----------------------------------------------------------------------------------------------
status "a grant to nobody: 3" 3 ash secret grant api-key --agent nobody
# shellcheck disable=SC2016
install reader '{ cat /run/credentials/renamed; echo "|$API|"; } | tr a-z n-za-m; echo "$(stat -c "%a %u" /run/credentials/renamed)|$(ls -A /run/credentials | xargs)"' \
    'credentials: [{name: api-key, as: renamed, env: API}]'
status "without a grant: 125" 125 ash agent run reader
like "it is refused with the command" "$err" "ash secret grant api-key --agent reader"
is "as refused" "$(latest reader .outcome)" refused
like "and audited" "$(audited secret.deny)" '^reader false null api-key [0-9a-z]* agent it is not granted'
check "granted" ash secret grant api-key --agent reader
is "handed over: file, variable, mode, and nothing else" "$(ash agent run reader | { read -r line; $turned <<<"$line"; cat; } | xargs)" \
    "distinctive-value-two|distinctive-value-two| 400 1000|renamed"
install plain 'cat /run/credentials/api-key; echo; base64 /run/credentials/api-key; od -An -tx1 /run/credentials/api-key | tr -d " \n"' 'credentials: [{name: api-key}]'
ash secret grant api-key --agent plain >/dev/null
is "what it prints of it is taken out, in every form" "$(ash agent run plain | xargs)" "[redacted:api-key] [redacted:api-key] [redacted:api-key]"
status "and from the log" 1 grep -rqE "distinctive|$(printf distinctive-value-two | base64)" "$dir/log"
like "and audited with the version" "$(audited secret.hand-over)" '^reader true null api-key 2 agent '
is "nothing printed is in the audit" "$(grep -c distinctive "$dir/log/audit.log")" 0
sed -i 's/1\.0\.0/1.0.1/' "$dir/agents/reader/manifest.yaml"
status "another definition installs" 0 ash agent install --replace "$dir/agents/reader/manifest.yaml"
like "and tells which grant lapses" "$err" "ash secret grant api-key --agent reader"
is "list tells too" "$(listed api-key api-key '.grants[0].state')" lapsed
status "it is refused" 125 ash agent run reader
like "for that reason" "$err" "another definition"
sed -i 's/1\.0\.1/1.0.0/' "$dir/agents/reader/manifest.yaml"
status "the definition of the grant" 0 ash agent install --replace "$dir/agents/reader/manifest.yaml"
is "needs no word" "$err" ""
check "so many uses" ash secret grant api-key --agent reader --max-uses 2
status "one" 0 ash agent run reader
status "two" 0 ash agent run reader
status "no third" 125 ash agent run reader
like "used up" "$err" "used up"
status "--until in the past: 2" 2 ash secret grant api-key --agent reader --until 2020-01-01T00:00:00Z
check "for a moment" ash secret grant api-key --agent reader --until 1s
expired() { [ "$(listed api-key api-key '.grants[0].state')" = expired ]; }
check "which passes" eventually 5 expired
status "refused then" 125 ash agent run reader
like "expired" "$err" "expired"
check "granted again" ash secret grant api-key --agent reader --until 1h
check "revoked" ash secret revoke api-key --agent reader
status "revoking twice: 3" 3 ash secret revoke api-key --agent reader
status "refused then" 125 ash agent run reader
status "a secret that is missing" 0 install lacking 'true' 'credentials: [{name: no-such}]'
status "refuses" 125 ash agent run lacking
like "with what to do" "$err" "ash secret set no-such"
check "a grant goes with its agent" ash secret grant api-key --agent reader
check "removed" ash agent remove reader
is "none of its grants is left" "$(listed api-key api-key '[.grants[] | select(.agent == "reader")] | length')" 0

# --- what the manifest narrows -----------------------------------------------------------------------------
credential='credentials: [{name: api-key}]'
refused_manifest() {
	local text=$1 key=$2
	agent narrow 'cat /run/credentials/api-key' "$3" >/dev/null
	status "$text: refused" 4 ash agent install --replace "$dir/agents/narrow/manifest.yaml"
	like "$text: names the key" "$err" "$key"
}
refused_manifest "untrusted" spec.credentials $'trust_level: untrusted\nhome: {mode: none}\n'"$credential"
refused_manifest "capabilities without it" spec.capabilities $'capabilities: [secret.use:other*]\n'"$credential"
refused_manifest "a policy for others" spec.secret_policy $'secret_policy: [{secret_pattern: "x*"}]\n'"$credential"
refused_manifest "a policy for a tool" spec.secret_policy $'secret_policy: [{secret_pattern: "*", tool_pattern: "fs"}]\n'"$credential"
install narrow 'cat /run/credentials/api-key | tr a-z n-za-m' $'capabilities: [secret.use:api-*]\nsecret_policy: [{secret_pattern: "api-*", max_uses: 1}]\n'"$credential"
status "a policy grants nothing" 125 ash agent run narrow
ash secret grant api-key --agent narrow >/dev/null
is "a policy and a grant" "$(ash agent run narrow | $turned)" distinctive-value-two
status "its bound holds" 125 ash agent run narrow
install narrow 'cat /run/credentials/api-key' $'secret_policy: [{secret_pattern: "*", expires_at: 2020-01-01T00:00:00Z}]\n'"$credential"
ash secret grant api-key --agent narrow >/dev/null
status "a policy that has expired" 125 ash agent run narrow
like "is named" "$err" "spec.secret_policy"

# --- new values ----------------------------------------------------------------------------------------------
gate_shut
# shellcheck disable=SC2154
install holder "cat /run/credentials/api-key | $turned; echo; $gate_wait cat /run/credentials/api-key | $turned; echo; ls -A /run/credentials | xargs" "$credential
$gate_context"
ash secret grant api-key --agent holder >/dev/null
id=$(ash agent run holder --detach)
printed() { ash session logs "$id" | $turned | grep -q "$1"; }
check "a session reads it" eventually 20 printed distinctive-value-two
set_secret api-key distinctive-value-three >/dev/null
is "without --now it keeps it" "$(ash --json secret list api-key | jq -r '.[0].version')" 3
said=$(set_secret api-key distinctive-value-four --now)
like "with --now it is replaced" "$said" "replaced in 1 live session"
like "and that is audited" "$(audited secret.replace)" 'api-key 4 .* in 1 live sessions'
kill -KILL "$(daemon runnerd)"
check "runnerd is started again" eventually 10 ash status
replaced_again() { set_secret api-key distinctive-value-five --now | grep -q "in 1 live session"; }
check "it finds the sandbox again" eventually 10 replaced_again
gate_open
is "the agent reads whole values" "$(ash session wait "$id"; ash session logs "$id" | $turned | xargs)" \
    "distinctive-value-two distinctive-value-five ncv-xrl"

# --- others' secrets -------------------------------------------------------------------------------------------
set_secret theirs "the-others-secret-value" >/dev/null
# shellcheck disable=SC2016
seek='{ cat /run/credentials/theirs; find / -xdev -name "theirs*" 2>/dev/null; ls /run/scarab-runtime '"$dir"' 2>/dev/null
for p in /proc/[0-9]*; do cat $p/environ $p/root/run/credentials/* 2>/dev/null; ls -l $p/fd 2>/dev/null; done
cat /dev/shm/* /tmp/* 2>/dev/null; env; } 2>&1 | tr "\0" "\n" | grep -c "the-others-secret-value"'
gate_shut
install owner "$gate_wait exit 0" "credentials: [{name: theirs, env: THEIRS}]
$gate_context"
ash secret grant theirs --agent owner >/dev/null
owner=$(ash agent run owner --detach)
owner_runs() { [ "$(ash --json session show "$owner" | jq -r .state)" = running ]; }
check "the owner runs" eventually 20 owner_runs
install none "$seek"
is "an agent without secrets finds none of another's" "$(ash agent run none)" 0
install itself "$seek" 'credentials: [{name: theirs}]'
ash secret grant theirs --agent itself >/dev/null
like "where it may, the same search finds it" "$(ash agent run itself)" '^[1-9]'
install some "$seek" "$credential"
ash secret grant api-key --agent some >/dev/null
is "nor does one that has others" "$(ash agent run some)" 0
for role in control schedd runnerd spawner keeper init; do
	found=0
	while read -r pid name; do
		[ "$name" = "$role" ] || [ "$name" = "agentd-$role" ] || continue
		tr '\0' '\n' <"/proc/$pid/environ" 2>/dev/null | grep -q the-others && found=1
		tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -q the-others && found=1
	done < <(processes)
	is "$role has it in no argument or variable" "$found" 0
done
gate_open
ash session wait "$owner" >/dev/null 2>&1

# --- who may ------------------------------------------------------------------------------------------------
may() { setpriv --reuid "$1" --regid 65534 --groups "$2" "$BUILD/ash" -s "$sock" secret list; }
status "a stranger: 4" 4 may 70000 65534
status "the group may" 0 may 70000 $((uid_base + 10))
status "no daemon, whatever its groups" 6 may $((uid_base + 2)) $((uid_base + 10))
status "no agent" 6 may $((session_ids + 1000)) $((uid_base + 10))

# --- across restarts ---------------------------------------------------------------------------------------
kill -KILL "$(daemon secretd)"
check "a killed secretd opens the store by itself" eventually 10 ash secret list api-key
instance_stop
instance_up "a new agentd"
is "opens it unattended" "$(listed api-key)" 5
before=$(cksum <"$dir/secrets.key")
check "rotate-key" ash secret rotate-key
check "makes another key" fails test "$before" = "$(cksum <"$dir/secrets.key")"
check "leaves none beside it" fails test -e "$dir/secrets.key.new"
instance_stop
instance_up "after a rotation"
is "it opens" "$(listed api-key)" 5
instance_stop
mv "$dir/secrets.key" "$dir/away"
instance_up "without its key agentd starts"
status "but the store is locked" 3 ash secret list
like "and says what is missing" "$err" "$dir/secrets.key is missing"
check "no other key is made" fails test -e "$dir/secrets.key"
status "nor by storing" 3 set_secret another "some other value"
check "nor then" fails test -e "$dir/secrets.key"
status "a session is refused" 125 ash agent run some
like "with the remedy" "$err" "ash secret unlock"
head -c 32 /dev/urandom >"$dir/secrets.key"
chmod 0400 "$dir/secrets.key"
status "a wrong key: 4" 4 ash secret list
like "is called so" "$err" "does not open"
mv -f "$dir/away" "$dir/secrets.key"
chmod 0444 "$dir/secrets.key"
status "a key that others may read: 4" 4 ash secret list
like "is refused" "$err" "only root may read"
chmod 0400 "$dir/secrets.key"
check "with it back, unlock opens" ash secret unlock
is "all of it" "$(listed api-key)" 5
instance_stop
printf '\1' | dd of="$dir/state/secrets/api-key@5" bs=1 seek=140 conv=notrunc status=none
instance_up "with a changed file"
status "its secret is refused" 125 ash agent run some
like "with the file's name" "$err" "secrets/api-key@5 was changed"
is "list shows it" "$(listed api-key api-key .damage)" "secrets/api-key@5 was changed"
check "storing it anew heals it" set_secret api-key distinctive-value-six
is "and it runs" "$(ash agent run some)" 0
instance_stop
truncate -s -1 "$dir/state/secrets/catalog"
instance_up "with a cut catalog"
status "nothing is read" 1 ash secret list
like "and the file is named" "$err" "catalog was changed"
instance_stop

# --- a passphrase --------------------------------------------------------------------------------------------
rm -rf "${dir:?}/state/secrets"
sed -i 's/^secrets:.*/secrets: {passphrase: prompt}/' "$dir/agentd.yaml"
instance_up "with a passphrase"
status "nothing is stored before there is one: 5" 5 set_secret api-key "some value or other"
like "unlock is named" "$err" "ash secret unlock"
typed() { "$BUILD/tests/typed" "${@:1:$#-1}" -- "$BUILD/ash" -s "$sock" secret "${!#}"; }
check "two that differ are none" fails typed "correct horse" "correct house" unlock
said=$(typed "correct horse" "correct horse" unlock)
is "it is set" "$?" 0
check "and not shown" fails grep -q horse <<<"$said"
check "stored" set_secret api-key "some value or other"
kill -KILL "$(daemon secretd)"
check "after a restart" eventually 10 daemon secretd
locked() { ash secret list 2>&1 | grep -q "is locked"; }
check "it is locked" eventually 10 locked
check "a wrong one does not open" fails typed "wrong horse" unlock
check "the right one does" typed "correct horse" unlock
is "all is there" "$(listed api-key)" 1
check "another passphrase" typed "battery staple" "battery staple" rotate-key
kill -KILL "$(daemon secretd)"
check "locked again" eventually 10 locked
check "the old one is of no use" fails typed "correct horse" unlock
check "the new one opens" typed "battery staple" unlock
is "everything" "$(listed api-key)" 1
check "by a script as well" bash -c "printf 'battery staple\n' | '$BUILD/ash' -s '$sock' secret unlock"
like "unlocking is audited" "$(audited secret.unlock)" 'with a passphrase'

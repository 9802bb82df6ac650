#!/bin/bash
# A store of secrets sealed under a credential of systemd: what agentd finds below
# CREDENTIALS_DIRECTORY opens it, unattended, and nothing else does; another key takes its place.
# timeout: 120
# shellcheck disable=SC2154
. "$(dirname "$0")/lib.sh"
need_root "a store under a credential"
secrets_config='secrets: {kek_credential: store-key}'
instance_new
given=$dir/credentials
mkdir -m 0700 "$given"
unset CREDENTIALS_DIRECTORY
set_secret() { printf '%s' "$2" | ash secret set "$1"; }
# new_key NAME: as LoadCredential= leaves it.
new_key() {
	head -c 48 /dev/urandom >"$given/$1"
	chmod 0400 "$given/$1"
}
version() { ash --json secret list one | jq -r '.[0].version'; }

instance_up "agentd starts without credentials"
status "but there is no key: 3" 3 set_secret one "the first value"
like "the remedy is named" "$err" 'LoadCredentialEncrypted=store-key'
instance_stop

export CREDENTIALS_DIRECTORY=$given
instance_up "with a directory of credentials"
status "that lacks this one: 3" 3 set_secret one "the first value"
like "it is named" "$err" "$given/store-key is missing"
check "agentd makes none" fails test -e "$given/store-key"
new_key store-key
chmod 0444 "$given/store-key"
status "one that others may read: 4" 4 set_secret one "the first value"
chmod 0400 "$given/store-key"
check "with it the first secret is stored" set_secret one "the first value"
is "nothing else was made" "$(ls -A "$given")" store-key
kill -KILL "$(daemon secretd)"
check "a killed secretd opens the store by itself" eventually 10 ash secret list one
instance_stop
instance_up "after a restart"
is "it opens unattended" "$(version)" 1
install reader 'tr a-z n-za-m </run/credentials/one' 'credentials: [{name: one}]'
check "granted" ash secret grant one --agent reader
is "and hands over" "$(ash agent run reader)" "gur svefg inyhr"
for process in $(processes | awk '$2 != "agentd" { print $1 }'); do
	tr '\0' '\n' <"/proc/$process/environ" 2>/dev/null | grep -q CREDENTIALS_DIRECTORY && fail "process $process knows the directory"
done

# --- another key -----------------------------------------------------------------------------------
status "no other key was given: 3" 3 ash secret rotate-key
like "what to do is said" "$err" 'credential store-key.new'
cp -p "$given/store-key" "$dir/old"
new_key store-key.new
check "with one beside it the key changes" ash secret rotate-key
instance_stop
instance_up "until it has its place"
is "the old one opens too" "$(version)" 1
instance_stop
mv -f "$given/store-key.new" "$given/store-key"
instance_up "with the new one in its place"
is "that opens" "$(version)" 1
instance_stop
cp -pf "$dir/old" "$given/store-key"
instance_up "from then on"
status "the old one opens nothing: 4" 4 ash secret list
like "and is called so" "$err" "does not open"
[ "$failed" -eq 0 ]

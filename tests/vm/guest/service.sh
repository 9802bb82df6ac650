#!/bin/bash
# The service under systemd: a socket that waits while agentd is restarted, a key from LoadCredential, an
# upgrade to another build with a live session, and an older version that is not put over newer state.
# shellcheck disable=SC2016,SC2154,SC2317
. "$(dirname "$0")/lib.sh"

# --- socket activation -----------------------------------------------------------------------------------

agent long 'echo up; read -r _ </context/gate/gate; echo ended' $'runtime: native\ncontext: [{source: /srv, target: /context/gate}]'
exec 9<>/srv/gate
id=$(ash agent run long --detach)
check "a session runs" eventually 10 running "$id"
systemctl stop agentd
check "the socket is systemd's" systemctl start agentd.socket
is "with the group and mode of agentd's own" "$(stat -c '%a %U:%G' /run/scarab-runtime/agentd.sock)" "660 root:agentd"
is "agentd does not run" "$(systemctl is-active agentd)" inactive
status "who asks starts it" 0 ash ping
check "and it runs" eventually 10 eval '[ "$(systemctl is-active agentd)" = active ]'
check "with the live session" running "$id"
systemctl restart agentd &
status "a request in the middle of a restart waits for its end" 0 ash status
wait
is "the socket outlives agentd" "$(systemctl is-active agentd.socket)" active

# --- the key of the secrets as a credential --------------------------------------------------------------

mkdir -p /etc/credstore
(umask 077 && head -c 32 /dev/urandom >/etc/credstore/scarab-runtime.key)
# Another key is another store, and another audit log: its entries are sealed with a key of the store.
systemctl stop agentd
mkdir /var/lib/kept /var/log/kept
mv /var/lib/scarab-runtime/secrets /var/lib/kept/
mv /var/log/scarab-runtime/audit.log* /var/log/kept/
echo 'secrets: {kek_credential: scarab-runtime.key}' >>/etc/scarab-runtime/agentd.yaml
systemctl start agentd
check "a secret is sealed with the credential" ash secret set one --from /etc/hostname
agent reader 'cat /run/credentials/one' $'runtime: native\ncredentials: [{name: one}]'
check "granted" ash secret grant one --agent reader
systemctl restart agentd
like "and opened unattended after a restart" "$(ash agent run reader 2>&1)" 'redacted:one|scarab-vm'
check "the audit log of that time is whole" ash audit verify
sed -i '/^secrets: {kek_credential/d' /etc/scarab-runtime/agentd.yaml
systemctl stop agentd.socket agentd
rm -rf /var/lib/scarab-runtime/secrets /var/log/scarab-runtime/audit.log* /etc/credstore/scarab-runtime.key
mv /var/lib/kept/secrets /var/lib/scarab-runtime/
mv /var/log/kept/audit.log* /var/log/scarab-runtime/
rmdir /var/lib/kept /var/log/kept
systemctl start agentd
check "and the one before goes on" ash audit verify

# --- an upgrade, and no way back ---------------------------------------------------------------------------

hold=$(systemctl show -p MainPID --value scarab-sessions)
before=$(cat "$cgroups/$id/agent/cgroup.procs")
pid=$(systemctl show -p MainPID --value agentd)
check "a package of another build installs over it" dpkg -i ./debs/newer/scarab-runtime_*.deb
like "the newer version runs" "$(dpkg-query -W -f '${Version}' scarab-runtime)" '[+]newer'
check "agentd was restarted" test "$(systemctl show -p MainPID --value agentd)" != "$pid"
is "what owns the sessions' cgroup was not" "$(systemctl show -p MainPID --value scarab-sessions)" "$hold"
is "the live session goes on" "$(state "$id") $(paste -sd' ' "$cgroups/$id/agent/cgroup.procs")" "running $(paste -sd' ' <<<"$before")"
echo 2 >/var/lib/scarab-runtime/format
status "an older version is not put over newer state" 1 dpkg -i ./debs/scarab-runtime_*.deb
like "which is said" "$err$out" 'holds state of format 2, this version reads up to format 1'
like "the newer one stays" "$(dpkg-query -W -f '${Version} ${db:Status-Status}' scarab-runtime)" '[+]newer installed'
# This newer build knows the number 1 only, so that it has the same to say.
systemctl stop agentd
status "agentd refuses such state too" 5 timeout 60 agentd
like "and says what to do" "$err" 'holds state of format 2.*install the newer scarab-runtime'
echo 1 >/var/lib/scarab-runtime/format
systemctl start agentd
echo >&9
check "the session that lived through all of it ends by itself" ash session wait "$id"
exit $failed

#!/bin/bash
# remove ends what lives and keeps the state; purge leaves nothing.
# shellcheck disable=SC2016,SC2154,SC2317
. "$(dirname "$0")/lib.sh"

agent stays 'echo up; trap "echo bye >~/bye; exit 0" TERM; sleep 1000 & wait' 'runtime: native'
id=$(ash agent run stays --detach)
check "a session lives" eventually 10 running "$id"
check "the package is removed" dpkg -r scarab-runtime
left=$(for role in agentd agentd-control schedd secretd runnerd dialer webhook spawner keeper broker egress hold; do pgrep -x $role; done)
is "no process of it is left" "$left" ""
check "nor a cgroup" test ! -e "$cgroups"
check "the state stays" test -s /var/lib/scarab-runtime/sched/ledger.db -a -s /var/log/scarab-runtime/audit.log
is "the session was ended in order" "$(sqlite3 /var/lib/scarab-runtime/sched/ledger.db 'SELECT count(*) FROM session WHERE ended_at = 0' 2>&1)" 0
check "the users stay, with what is theirs" getent passwd schedd
check "it is installed again" dpkg -i ./debs/newer/scarab-runtime_*.deb
check "and knows its agents" ash agent show stays
check "purged" dpkg -P scarab-runtime
left=$(find / -xdev \( -name '*scarab*' -o -name 'agentd*' \) -not -path '/var/payload/*' -not -path '/var/results/*' \
    -not -path '/proc/*' -not -path '/sys/*' 2>/dev/null)
is "no file is left" "$left" ""
is "nothing is left in /run" "$(find /run -name '*scarab*' -o -name '*agentd*' 2>/dev/null)" ""
is "no file belongs to an agent" "$(find / -xdev -uid +1879048191 -not -path '/proc/*' 2>/dev/null | head -5)" ""
is "nor a user" "$(getent passwd agentd schedd secretd agentd-net agentd-web)$(getent group agentd)" ""
is "nor a unit" "$(systemctl list-units --all --plain --no-legend 'agentd*' 'scarab*')" ""
exit $failed

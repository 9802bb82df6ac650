#!/bin/bash
# The package as it comes: users, units, what is confined, what a manifest's limits are under v2, and
# that neither restarts nor deaths of daemons touch a live session.
# shellcheck disable=SC2016,SC2154,SC2317
. "$(dirname "$0")/lib.sh"

check "the package installs" dpkg -i ./debs/scarab-runtime_*.deb
is "both units run" "$(systemctl is-active agentd scarab-sessions | paste -sd' ')" "active active"
is "agentd starts with the machine" "$(systemctl is-enabled agentd)" enabled
check "ash finds it" ash ping
is "the configuration is checked without a word" "$(agentd -n 2>&1)" ""
is "the operators' group has the socket" "$(stat -c '%a %U:%G' /run/scarab-runtime/agentd.sock)" "660 root:agentd"
is "no daemon's user is an operator" "$(getent group agentd | cut -d: -f4)" ""
is "nothing is missing here" "$(ash --json doctor | jq -r '[.. | objects | select(.present? == false) | .name] | join(" ")')" ""
is "the state says in which form it is" "$(cat /var/lib/scarab-runtime/format)" 1
is "hold has no capability" "$(grep -E '^Cap' "/proc/$(systemctl show -p MainPID --value scarab-sessions)/status" | cut -f2 | sort -u)" 0000000000000000

# --- limits, by v2 ----------------------------------------------------------------------------------

bombs=build/tests/escape
agent eats-memory 'exec "${0%/*}/memory" "$SCARAB_TASK"' $'runtime: native\nresources: {memory_limit: 48Mi}' $bombs/memory
status "a bomb of memory is ended as an agent: 137" 137 ash agent run eats-memory --task anonymous
is "outcome oom_killed, by signal 9" "$(latest eats-memory '[.outcome, .signal] | join(" ")')" "oom_killed 9"
check "it never had more than its limit" test "$(latest eats-memory .peak_memory_bytes)" -le $((48 << 20))
agent forks-on 'exec "${0%/*}/forks"' $'runtime: native\nresources: {max_pids: 40}' $bombs/forks
status "a fork bomb" 1 ash agent run forks-on
like "makes as many as the limit has room for" "$out" '^held: 600 .* at once, 38 were made'
agent fills-disk 'exec "${0%/*}/disk" $SCARAB_TASK' $'runtime: native\nresources: {disk: 2Mi}' $bombs/disk
status "a bomb of the disk, held by a project quota" 1 ash agent run fills-disk --task "bytes /home/agent"
like "meets its end" "$out" '^held: .*(No space left|Disk quota exceeded)'

mkfifo -m 0444 /srv/gate
agent holder 'echo up; read -r _ </context/gate/gate; echo "let go" >~/word; echo ended' \
    $'runtime: native\nresources: {memory_limit: 48Mi, max_pids: 30, cpus: 0.5, cpu_shares: 512}\ncontext: [{source: /srv, target: /context/gate}]'
exec 9<>/srv/gate
id=$(ash agent run holder --detach)
check "a session runs" eventually 10 running "$id"
limits() {
	local leaf=$cgroups/$id/agent
	paste -sd' ' "$leaf/memory.max" "$leaf/memory.swap.max" "$leaf/memory.oom.group" "$leaf/pids.max" "$leaf/cpu.max" "$cgroups/$id/cpu.weight" | tr '\n' ' '
}
want="$((48 << 20)) 0 1 30 50000 100000 50 "
is "its limits: memory, swap, oom.group, pids, cpu, weight" "$(limits)" "$want"
throttled() { [ "$(sed -n 's/^nr_throttled //p' "$cgroups/$spin/agent/cpu.stat")" -gt 0 ]; }
agent spin 'while :; do :; done' $'runtime: native\nresources: {cpus: 0.1}'
spin=$(ash agent run spin --detach)
check "who spins is held back by the kernel" eventually 10 throttled
check "and cancelled" ash session cancel "$spin"

# --- restarts and deaths -----------------------------------------------------------------------------

before=$(cat "$cgroups/$id/agent/cgroup.procs")
unharmed() { is "$1: the session's processes and limits" "$(paste -sd' ' "$cgroups/$id/agent/cgroup.procs") $(limits)" "$(paste -sd' ' <<<"$before") $want"; }
up() { [ "$(systemctl is-active agentd)" = active ] && ash ping; }
check "systemctl restart agentd" systemctl restart agentd
unharmed "after the restart"
check "agentd knows it" running "$id"
kill -KILL "$(systemctl show -p MainPID --value agentd)"
check "after kill -9 of agentd systemd starts it again" eventually 10 up
unharmed "after kill -9 of agentd"
for role in control schedd secretd runnerd dialer spawner; do
	pid=$(daemon "$role")
	kill -KILL "$pid" || continue
	again() { now=$(daemon "$role") && [ -n "$now" ] && [ "$now" != "$pid" ] && [ "$(state "$id")" = running ]; }
	check "kill -9 of $role: it is back" eventually 10 again
	unharmed "after kill -9 of $role"
done
echo >&9
check "the session ends by itself" ash session wait "$id"
is "with success" "$(ash --json session show "$id" | jq -r .outcome)" success
is "its home is committed" "$(find /var/lib/scarab-runtime/homes -type f -name word -exec cat {} +)" "let go"
check "its cgroup goes" eventually 5 test ! -e "$cgroups/$id"
exit $failed

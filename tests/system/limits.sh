#!/bin/bash
# timeout: 300
# Limits of a session: what is written into its cgroups, that it holds (bombs of memory, processes and
# open files), that it outlives runnerd, idle agents, and what root sets where a manifest is silent.
# shellcheck disable=SC2016,SC2119,SC2154
. "$(dirname "$0")/lib.sh"
instance_new 'defaults: {memory_limit: 96Mi, max_pids: 60, disk: 1Mi}'
gate_new
printf 'ceilings: {memory_limit: 256Mi, allowed_context: ["%s/gate"]}\n' "$dir" >>"$dir/agentd.yaml"
instance_up "the instance starts"

doctor() { ash --json doctor | jq -r --arg name "$1" '.. | objects | select(.name? == $name) | '"$2"; }
for controller in memory pids cpu; do
	if [ "$(doctor $controller .present)" != true ]; then
		skip "limits hold" "this host cannot limit $controller: $(doctor $controller .found)"
		exit 0
	fi
	like "doctor tells where $controller is limited" "$(doctor $controller .found)" '^cgroup v[12], /'
done

# --- what is written ----------------------------------------------------------------------------------

# control CONTROLLER LEAF V2-FILE V1-FILE: what the leaf of session $id says; LEAF . is the session.
control() {
	local base
	base=$(v1_bases | sed -n "s/^$1 //p")
	[ -n "$base" ] || base=$cgroup
	[ "$base" != "$cgroup" ] || set -- "$1" "$2" "$3" "$3"
	if [ -d "$base/$id" ]; then cat "$base/$id/$2/$4"; else cat "$base/$id-$2/$4"; fi
}
limits_are() {
	local version=1 want=$2
	[ -e "$cgroup/$id/agent/memory.max" ] && version=2
	is "$1: memory" "$(control memory agent memory.max memory.limit_in_bytes)" "${want%% *}"
	is "$1: processes" "$(control pids agent pids.max pids.max)" "$(cut -d' ' -f2 <<<"$want")"
	[ "$(wc -w <<<"$want")" -gt 2 ] || return 0
	if [ $version = 2 ]; then
		is "$1: CPU time" "$(control cpu agent cpu.max '')" "50000 100000"
		is "$1: CPU weight" "$(control cpu . cpu.weight '')" 50
		is "$1: no swap" "$(control memory agent memory.swap.max '')" 0
	else
		is "$1: CPU time" "$(control cpu agent '' cpu.cfs_quota_us) $(control cpu agent '' cpu.cfs_period_us)" "50000 100000"
		is "$1: CPU shares" "$(control cpu . '' cpu.shares)" 512
		is "$1: no swap" "$(control memory agent '' memory.swappiness) $(control memory agent '' memory.memsw.limit_in_bytes 2>/dev/null || echo "${want%% *}")" "0 ${want%% *}"
	fi
}
begin() {
	id=$(ash agent run "$1" --detach) || fail "$1 starts"
	eventually 10 logged up || fail "$1 runs"
}
logged() { ash session logs "$id" | grep -q "$1"; }
outcome() { ash --json session show "$id" | jq -r .outcome; }

install holder "echo up; cat /proc/self/cgroup; $gate_wait"' echo ended' "$gate_context
resources: {memory_limit: 48Mi, max_pids: 30, cpus: 0.5, cpu_shares: 512}"
install silent "echo up; $gate_wait" "$gate_context"
cp_bombs() { cp "$BUILD/tests/escape/"{memory,forks,descriptors} "$dir/agents/$1/"; }
install bomb 'exec "${0%/*}/memory" "$SCARAB_TASK"' 'resources: {memory_limit: 48Mi}'
cp_bombs bomb
install family '"${0%/*}/memory" anonymous & sleep 1000' "resources: {memory_limit: 48Mi}
lifecycle: {timeout_secs: $((30 * factor)), stop_grace: 1s}"
cp_bombs family
install forks 'exec "${0%/*}/forks"' 'resources: {max_pids: 40}'
cp_bombs forks
install files 'exec "${0%/*}/descriptors"' 'resources: {max_open_files: 100}'
cp_bombs files
install spin 'echo up; while :; do :; done' 'resources: {cpus: 0.1}'
idle=$((2 * factor))
install quiet 'echo up; exec sleep 1000' "lifecycle: {idle_timeout_secs: $idle, stop_grace: 1s}"
install talks "i=0; while [ \$i -lt $((15 * factor)) ]; do echo \$i; sleep 0.2; i=\$((i + 1)); done; exit 5" "lifecycle: {idle_timeout_secs: $idle}"
install reads "while dd bs=65536 count=1 of=/dev/shm/x 2>/dev/null && [ -s /dev/shm/x ]; do sleep 0.2; done; exit 6" "lifecycle: {idle_timeout_secs: $idle}"
install later 'echo runs' 'resources: {memory_limit: 200Mi}'
first=$(ash agent run silent --detach)
eventually 10 eval '[ "$(ash --json session show $first | jq -r .state)" = running ]'
ash session cancel "$first"
ash session wait "$first" 2>/dev/null
eventually 5 test ! -e "$dir/state/sessions/$first"
snapshot_take

gate_shut
begin silent
limits_are "a manifest that is silent gets what agentd.yaml says" "$((96 << 20)) 60"
silent=$id
begin holder
holder=$id
limits_are "a manifest's limits" "$((48 << 20)) 30 cpu"
is "the keeper's memory is limited too" "$(control memory runtime memory.max memory.limit_in_bytes)" $((320 << 20))
is "and its processes" "$(control pids runtime pids.max pids.max)" 74
while read -r controller base; do
	leaf=$(ls -d "$base/$id/agent" "$base/$id-agent" 2>/dev/null)
	is "who is in the agent's leaf is in that of $controller" "$(sort "$leaf/cgroup.procs")" "$(sort "$cgroup/$id/agent/cgroup.procs")"
done < <(v1_bases)
is "inside, its cgroup is the root of every hierarchy that limits it" \
    "$(ash session logs "$id" | grep -E '^[0-9]+:(.*,)?(memory|pids|cpu)?(,.*)?:' | grep -v ':/$')" ""
own=$(cat "/proc/$(daemon runnerd)/cgroup")
is "runnerd is in none of them" "$(grep -F "$id" <<<"$own")" ""

pid=$(daemon runnerd)
kill -KILL "$pid"
check "runnerd is started again" eventually 10 eval 'new=$(daemon runnerd) && [ "$new" != "$pid" ] && ash ping'
limits_are "after kill -9 of runnerd" "$((48 << 20)) 30 cpu"

# --- bombs --------------------------------------------------------------------------------------------

for kind in anonymous memfd sockets; do
	"$BUILD/tests/escape/memory" $kind >"$dir/control" 2>&1
	like "a bomb of memory ($kind) is one where nothing stops it" "$(cat "$dir/control")" '^ESCAPED'
	status "and is ended as an agent: 137" 137 ash agent run bomb --task $kind
	is "outcome oom_killed, by signal 9" "$(ash --json session show bomb@latest | jq -r '[.outcome, .signal, .exit_code] | join(" ")')" "oom_killed 9 "
	like "with the reason" "$(latest bomb .reason)" 'memory_limit'
	peak=$(latest bomb .peak_memory_bytes)
	check "it never had more than its limit ($peak bytes)" test "$peak" -le $((48 << 20)) -a "$peak" -ge $((40 << 20))
done
is "another session goes on meanwhile" "$(ash --json session show "$holder" | jq -r .state)" running

# One of many is killed: all of it ends, though its first process knows nothing of it.
status "a session ends as a whole" 137 ash agent run family
is "with the same outcome" "$(latest family .outcome)" oom_killed

ash agent run forks >"$dir/forks" 2>&1
is "a fork bomb makes as many as the limit has room for" "$(grep -c '^held: 600 .* at once, 38 were made' "$dir/forks")" 2
is "it did nothing else" "$(grep -c '^ESCAPED' "$dir/forks")" 0
ash agent run files >"$dir/files" 2>&1
is "a bomb of open files too" "$(grep -c '^held: 3000 open files by .*, 97 were made' "$dir/files")" 2
like "also when they are sent away" "$(cat "$dir/files")" 'held: 3000 open files under way, [0-9]{1,3} were made'

# --- CPU ----------------------------------------------------------------------------------------------

begin spin
throttled() { [ "$(control cpu agent cpu.stat cpu.stat | sed -n 's/^nr_throttled //p')" -gt 2 ]; }
check "the kernel holds back who wants more than its CPU time" eventually 20 throttled
ash session cancel "$id"
status "and the session can be cancelled" 125 ash session wait "$id"
check "its CPU time is counted" test "$(latest spin .cpu_ms)" -gt 0

# --- idle ---------------------------------------------------------------------------------------------

status "an idle agent: 124" 124 ash agent run quiet
like "outcome idle_timed_out" "$(latest quiet '.outcome + ": " + .reason')" '^idle_timed_out: .*idle_timeout_secs'
status "who writes is not idle" 5 ash agent run talks
head -c $((1200000 * factor)) /dev/zero >"$dir/input"
status "who takes input is not idle" 6 ash agent run reads --input "$dir/input"
begin quiet
kill -KILL "$agentd_pid"
wait "$agentd_pid" 2>/dev/null
agentd_pid=''
quiet_ended() { [ -z "$(cat "$cgroup/$id/agent/cgroup.procs" 2>/dev/null)" ]; }
check "it is ended also while no daemon lives" eventually 20 quiet_ended
instance_up "agentd starts again"
status "which is known afterwards" 124 ash session wait "$id"
id=$holder
limits_are "after the end of all daemons" "$((48 << 20)) 30 cpu"

# --- root's word --------------------------------------------------------------------------------------

gate_open
ash session wait "$holder" "$silent" 2>/dev/null
ash session wait "$holder" 2>/dev/null
is "the session that was there all along" "$(outcome)" success
status "a limit above root's ceiling is refused at install" 4 ash agent install "$(agent greedy 'echo never' 'resources: {memory_limit: 512Mi}')"
like "with the key" "$err" 'spec.resources.memory_limit .* above ceilings.memory_limit'
is "one below it runs" "$(ash agent run later)" runs
sed -i 's/memory_limit: 256Mi/memory_limit: 128Mi/' "$dir/agentd.yaml"
check "root lowers the ceiling" ash reload
refused() { fails ash agent run later && [ "$(latest later .outcome)" = refused ]; }
check "a session above it is refused" eventually 5 refused
like "with the key" "$(latest later .reason)" 'spec.resources.memory_limit .* above ceilings.memory_limit'
settled_fds "nothing of all that is left, in any hierarchy"

# --- a host that lacks it -----------------------------------------------------------------------------

v1=$(v1_bases | grep -E '^(memory|pids) ' | while read -r controller _; do
	awk -v c="$controller" '/ - cgroup / && $NF ~ "(^|,)" c "(,|$)" { print $5 }' /proc/self/mountinfo
done)
if [ -z "$v1" ]; then
	skip "a host without controllers" "all of this host's are on v2, and cannot be taken from one instance"
	exit 0
fi
# In a mount namespace of its own.
printf '#!/bin/sh\nexec unshare -m sh -c "umount -l %s; exec %s/agentd \\"\\$@\\"" sh "$@"\n' "$(tr '\n' ' ' <<<"$v1")" "$BUILD" >"$dir/agentd"
chmod 0755 "$dir/agentd"
agentd=$dir/agentd
instance_stop
instance_up "an instance sees no v1 hierarchy of memory and processes"
status "doctor fails" 1 ash doctor
status "a session is refused, though its manifest asks for nothing" 125 ash agent run talks
like "with the mechanism and the remedy" "$(latest talks '.outcome + ": " + .reason')" '^refused: the host lacks memory \(.*\); give the sessions. cgroup'
instance_stop
echo 'degraded: [memory]' >>"$dir/agentd.yaml"
instance_up "root accepts one by name"
status "the other one refuses" 125 ash agent run talks
like "by its name" "$(latest talks .reason)" 'lacks pids'
instance_stop
sed -i 's/^degraded:.*/degraded: [memory, pids]/' "$dir/agentd.yaml"
instance_up "root accepts both"
status "a session runs" 5 ash agent run talks
like "and says in its log what it went without" "$(ash session logs talks@latest 2>&1)" 'lacks memory, pids; agentd.yaml accepts'

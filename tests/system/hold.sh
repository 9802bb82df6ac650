#!/bin/bash
# hold: owns the sessions' cgroup beside agentd, so that sessions outlive a restart of its unit.
# shellcheck disable=SC2016,SC2154
. "$(dirname "$0")/lib.sh"
instance_new
sed -i 's/^cgroup:.*/cgroup: auto/' "$dir/agentd.yaml"
mkdir "$cgroup"

# As systemd starts a unit with Delegate=yes: in a cgroup of its own.
sh -c 'echo $$ >"$1/cgroup.procs"; exec "$2" "$3"' hold "$cgroup" "$BUILD/hold" "$dir/run" &
holder=$!
check "it writes the unit's cgroup into run_dir" eventually 5 grep -qx "${cgroup#"$(cgroup_mount)"}" "$dir/run/cgroup"
is "it moved itself into a leaf" "$(cat "$cgroup/hold/cgroup.procs")" "$holder"
is "and left the unit's cgroup empty" "$(cat "$cgroup/cgroup.procs")" ""
eventually 5 grep -q '^NoNewPrivs:.*1' "/proc/$holder/status"
is "it keeps no capability" "$(grep -E '^Cap' "/proc/$holder/status" | cut -f2 | sort -u)" 0000000000000000

instance_up "the instance starts"
install inside 'echo up; sleep 1000' 'lifecycle: {stop_grace: 100ms}'
id=$(ash agent run inside --detach)
logged() { ash session logs "$id" | grep -q up; }
check "a session runs" eventually 10 logged
like "in the held cgroup" "$(find "$cgroup" -name "$id" -printf '%P\n')" "$id"
instance_stop
like "it outlives agentd" "$(cat "$cgroup"/*"$id"/*/cgroup.procs "$cgroup/$id"/*/cgroup.procs 2>/dev/null)" '[0-9]'
instance_up "agentd starts again"
status "and knows the session" 0 ash session cancel "$id"
status "which ends" 125 ash session wait "$id"
instance_stop

kill -TERM "$holder"
wait "$holder"
is "SIGTERM: hold exits 0" $? 0
check "and takes back what it wrote" test ! -e "$dir/run/cgroup"
status "a relative run_dir is refused" 2 "$BUILD/hold" run

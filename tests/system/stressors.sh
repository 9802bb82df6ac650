#!/bin/bash
# timeout: 240
# Stressors of Debian's stress-ng, a second each, and only inside limited sessions: what an agent may do
# works and stays within its limits, what it may not is refused, and nothing of it is left.
# shellcheck disable=SC2016,SC2119,SC2154
. "$(dirname "$0")/lib.sh"
need_root "stressors in sessions"
if ! [[ $(readlink -f "$(command -v stress-ng)") == /usr/* ]]; then
	skip "stressors in sessions" "stress-ng is not installed below /usr: apt-get install stress-ng"
	exit 0
fi
instance_start

# stress ARGUMENT…: prints STRESSOR BOGO-OPS for each that ran.
stress="stress() { stress-ng \$quiet --no-rand-seed --timeout $factor --temp-path /tmp --metrics-brief --yaml /dev/shm/y \"\$@\""'
s=$?; awk "/stressor:/ { name = \$NF } /bogo-ops:/ { print name, \$NF }" /dev/shm/y; return $s; }; cd /tmp; '
limits='resources: {memory_limit: 192Mi, max_pids: 48, cpus: 1, max_open_files: 256}'
allowed=(cpu dir fork futex hdd mmap pipe poll pthread sem sock timer vm)
# Those that count what the kernel let them do, and not what they tried.
refused=(chroot ptrace rawsock userfaultfd)

install works "$stress for one in ${allowed[*]}; do quiet=--quiet stress --\$one 1 --vm-bytes 16M --mmap-bytes 8M --hdd-bytes 4M --fork-max 4 --pthread-max 4 || exit; done" "$limits"
install forbidden "$stress for one in ${refused[*]}; do stress --\$one 1; done" "$limits"
install grows "$stress stress --vm 1 --vm-bytes 400M --vm-keep --vm-populate; sleep 100" "$limits"
install multiplies "$stress stress --fork 2 --fork-max 64 --pthread 2 --pthread-max 64" "$limits"
ash agent run forbidden >/dev/null 2>&1
eventually 5 eval '[ -z "$(ls "$dir/state/sessions")" ]'
snapshot_take

status "an agent may run ${#allowed[@]} stressors: 0" 0 ash agent run works
for stressor in "${allowed[@]}"; do
	like "$stressor gets something done" "$(grep "^$stressor " <<<"$out")" '^[a-z]+ [1-9]'
done
peak=$(latest works .peak_memory_bytes)
check "within its memory ($peak bytes)" test "$peak" -gt 0 -a "$peak" -le $((192 << 20))

ash agent run forbidden >"$dir/out" 2>&1
for stressor in "${refused[@]}"; do
	like "$stressor was tried" "$(cat "$dir/out")" "(hogs: 1 $stressor|$stressor.* skip)"
	is "and got nothing done" "$(grep "^$stressor " "$dir/out" | grep -v ' 0$')" ""
done
status "one that grows beyond its memory is ended: 137" 137 ash agent run grows
is "outcome oom_killed" "$(latest grows .outcome)" oom_killed
ash agent run multiplies >"$dir/out" 2>&1
like "one that multiplies beyond its processes ends by itself" "$(latest multiplies .outcome)" '^(success|failed)$'
settled "nothing of all that is left"

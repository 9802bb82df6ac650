# shellcheck shell=bash
# Sourced by every system test: a private instance in a temporary directory, results, cleaning up.
#
#   instance_new [YAML]      directory, ids and configuration; YAML: further top-level keys
#   instance_run             starts agentd and waits until it says READY=1
#   instance_up TEXT         the same as a result of the test
#   instance_start [YAML]    instance_new and instance_up
#   instance_stop            SIGTERM, waits; sessions go on
#   agent NAME BODY [YAML]   writes the agent NAME (a shell script) into $dir/agents/NAME; YAML: more
#                            lines of the manifest's spec; prints the manifest's path
#   install NAME BODY [YAML] the same, and installs it
#   ash ARGUMENT…            the operator command on this instance
#   ok TEXT, fail TEXT, skip TEXT REASON
#   is TEXT GOT WANT         equal?
#   like TEXT GOT PATTERN    does the extended regular expression match?
#   check TEXT COMMAND…      exit status 0?
#   status TEXT WANT COMMAND…  that exit status? Leaves $out and $err.
#   eventually SECONDS COMMAND…  waits until it succeeds
#   gate_new, gate_shut, gate_open  holds agents until they are let go; see below
#   settled TEXT             the instance's tree, cgroups, processes, mounts and descriptors are again
#                            as they were at the last call of snapshot_take
#   settled_fds TEXT         the same after daemons were restarted (their namespaces are new ones)
#
# Variables: $dir, $BUILD, $agentd_pid, $cgroup (its directory), $sock, $uid_base, $session_ids.
set -u

: "${BUILD:?run it with tests/run, or set BUILD to the build folder}"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck disable=SC2034
root=$(cd "$here/../.." && pwd)
factor=${TEST_TIME_FACTOR:-1}
failed=0 dir='' agentd_pid='' cgroup='' generation=0
# A pipe that nobody writes to: reading it with a time limit waits without a process.
exec {silence}<> <(:)
export NO_COLOR=1 LC_ALL=C.UTF-8
unset ASH_SOCKET NOTIFY_SOCKET

ok() { printf 'ok - %s\n' "$*"; }
fail() {
	printf 'FAIL - %s\n' "$*"
	failed=$((failed + 1))
}
skip() { printf 'skip - %s: %s\n' "$1" "$2"; }
note() { printf '# %s\n' "$*"; }

is() {
	if [ "$2" = "$3" ]; then ok "$1"; else
		fail "$1"
		note "got:  $2"
		note "want: $3"
	fi
}
like() {
	if [[ $2 =~ $3 ]]; then ok "$1"; else
		fail "$1"
		note "got: $2"
		note "does not match: $3"
	fi
}
check() {
	local text=$1 said
	shift
	if said=$("$@" 2>&1); then ok "$text"; else
		fail "$text"
		note "$* said: $said"
	fi
}
status() {
	local text=$1 want=$2 got
	shift 2
	"$@" >"$dir/out" 2>"$dir/err" </dev/null
	got=$?
	out=$(tr -d '\0' <"$dir/out") err=$(tr -d '\0' <"$dir/err")
	if [ "$got" -eq "$want" ]; then ok "$text"; else
		fail "$text"
		note "exit status $got, not $want; standard output: ${out:0:1000}"
		note "standard error: ${err:0:1000}"
	fi
}
fails() { ! "$@"; }
# A condition of another process that tells nobody: asked for every 20 ms, up to a deadline.
eventually() {
	local seconds=$(($1 * factor)) began=$EPOCHREALTIME now
	shift
	until "$@" >/dev/null 2>&1; do
		now=$EPOCHREALTIME
		[ $((${now/./} - ${began/./})) -lt $((seconds * 1000000)) ] || return 1
		read -r -t 0.02 -u "$silence"
	done
	return 0
}

need_root() {
	[ "$(id -u)" -eq 0 ] && return
	skip "$1" "an instance needs root"
	exit 0
}

# --- the instance ------------------------------------------------------------------------------

cgroup_mount() {
	awk '/ - cgroup2 / { print $5; exit }' /proc/self/mountinfo
}

# v1_bases: the instance's groups in the v1 hierarchies of memory, pids and cpu, where there are some,
# as lines CONTROLLER DIRECTORY.
v1_bases() {
	local controller mount own
	for controller in memory pids cpu; do
		mount=$(awk -v c=$controller '/ - cgroup / && $NF ~ "(^|,)" c "(,|$)" { print $5; exit }' /proc/self/mountinfo)
		own=$(awk -F: -v c=$controller '$2 ~ "(^|,)" c "(,|$)" { print $3 }' /proc/self/cgroup)
		[ -z "$mount" ] || echo "$controller $mount${own%/}/${dir##*/}"
	done
}

# Ids of its own: 64 ranges of agents above one of the daemons, above every range that
# distributions and an installed instance use.
choose_ids() {
	local slot
	while :; do
		slot=$(((RANDOM * 32768 + RANDOM) % 480))
		uid_base=$((2147483648 + slot * 66 * 65536))
		session_ids=$((uid_base + 65536))
		# Those of a test beside this one are claimed.
		[ -e "/run/scarab-runtime-ids/$session_ids-64" ] || return 0
	done
}

instance_config() {
	cat <<-YAML
		run_dir: $dir/run
		state_dir: $dir/state
		log_dir: $dir/log
		libexec_dir: ${libexec:-$BUILD}
		group: $((uid_base + 10))
		users: {control: $((uid_base + 1)), schedd: $((uid_base + 2)), secretd: $((uid_base + 3)), dialer: $((uid_base + 4)), webhook: $((uid_base + 5))}
		session_ids: {first: $session_ids, ranges: 64}
		cgroup: ${cgroup#"$(cgroup_mount)"}
		${secrets_config:-secrets: {kek_file: $dir/secrets.key\}}
	YAML
}

instance_new() {
	local own
	need_root "a private instance"
	dir=$(mktemp -d "${TMPDIR:-/tmp}/${instance_name:-scarab-test}.XXXXXX")
	chmod 0755 "$dir"
	mkdir "$dir/agents"
	choose_ids
	own=$(sed -n 's/^0:://p' /proc/self/cgroup)
	cgroup=$(cgroup_mount)${own%/}/${dir##*/}
	sock=$dir/run/agentd.sock
	instance_config >"$dir/agentd.yaml"
	printf '%s\n' "${1:-}" >>"$dir/agentd.yaml"
}

# agentd says READY=1 when every daemon is up. Returns 1 when it ended or was late.
instance_run() {
	local answer='' ready
	rm -f "$dir/ready"
	mkfifo "$dir/ready"
	exec {ready}<>"$dir/ready"
	"$BUILD/tests/notify-wait" "$dir/notify" $((20 * factor)) "$dir/ready" \
	    "${agentd:-$BUILD/agentd}" -f "$dir/agentd.yaml" >>"$dir/agentd.log" 2>&1 </dev/null 9>&- {ready}>&- &
	agentd_pid=$!
	generation=$((generation + 1))
	read -r -t $((30 * factor)) answer <&"$ready" || :
	exec {ready}>&-
	[ "$answer" = ready ] && return 0
	note "agentd: $answer"
	tail -n 20 "$dir/agentd.log" | sed 's/^/# /'
	return 1
}

# instance_up TEXT: the same as a result of the test, which ends without an instance.
instance_up() {
	if instance_run; then ok "$1"; else
		fail "$1"
		exit 1
	fi
}

instance_start() {
	instance_new "${1:-}"
	instance_up "the instance starts"
}

instance_stop() {
	[ -n "$agentd_pid" ] || return 0
	local pid=$agentd_pid
	agentd_pid=''
	kill -TERM "$pid" 2>/dev/null
	wait "$pid"
}

ash() { "${ash:-$BUILD/ash}" -s "$sock" "$@"; }

# --- processes of this instance ------------------------------------------------------------------

# start_time PID: in clock ticks since boot; nothing when there is no such process.
start_time() { sed -n 's/^.*) //p' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }

descendants() {
	local child
	while read -r child; do
		echo "$child"
		descendants "$child"
	done < <(cat "/proc/$1/task/"*/children 2>/dev/null | tr ' ' '\n' | grep .)
}

# Every live process of the instance as lines "PID ROLE": agentd's tree and its cgroup.
processes() {
	local pid
	{
		if [ -n "$agentd_pid" ]; then
			echo "$agentd_pid"
			descendants "$agentd_pid"
		fi
		[ -z "$cgroup" ] || find "$cgroup" -name cgroup.procs -exec cat {} + 2>/dev/null
		[ -z "$dir" ] || recorded
	} | sort -un | while read -r pid; do
		[ -e "/proc/$pid/exe" ] || continue
		printf '%s %s\n' "$pid" "$(basename "$(readlink "/proc/$pid/exe" 2>/dev/null)" 2>/dev/null)"
	done
}

# Daemons that agentd wrote down (pid and start time) and that still are those processes.
recorded() {
	local role pid started rest
	while read -r role pid started rest; do
		[ "$(start_time "$pid")" = "$started" ] && echo "$pid"
	done < <(cat "$dir/run/agentd.pids" 2>/dev/null)
	: "${role:-}" "${rest:-}"
}

# daemon ROLE: its pid; fails when it does not run.
daemon() { processes | awk -v role="$1" '$2 == role || $2 == role " (deleted)" { print $1; found = 1; exit } END { exit !found }'; }

# --- leaks --------------------------------------------------------------------------------------

# What the instance holds, in lines that are equal before and after sessions.
snapshot() {
	local pid role
	find "$dir/run" ! -name 'agentd.pids' -printf 'run %P %y %m\n'
	find "$dir/state/sessions" -printf 'session %P\n' 2>/dev/null
	find "$cgroup" -type d -printf 'cgroup %P\n' 2>/dev/null
	v1_bases | while read -r _ base; do find "$base" -type d -printf "cgroup $base %P\n" 2>/dev/null; done
	grep -cF "$dir" /proc/self/mountinfo | sed 's/^/mounts /'
	cksum <"$dir/state/ids" 2>/dev/null | sed 's/^/ids /'
	processes | while read -r pid role; do
		printf 'process %s fds %s mnt %s net %s\n' "$role" \
		    "$(find "/proc/$pid/fd" -mindepth 1 2>/dev/null | wc -l)" \
		    "$(readlink "/proc/$pid/ns/mnt")" "$(readlink "/proc/$pid/ns/net")"
	done
}

snapshot_take() { snapshot | sort >"$dir/snapshot.before"; }
as_before() {
	snapshot | sort >"$dir/snapshot.after"
	cmp -s "$dir/snapshot.before" "$dir/snapshot.after"
}
settled() {
	if eventually 10 as_before; then ok "$1"; else
		fail "$1"
		diff "$dir/snapshot.before" "$dir/snapshot.after" | head -n 40 | sed 's/^/# /'
	fi
}

# Restarted daemons have namespaces that are new; everything else is equal.
settled_fds() {
	sed -i -E 's/ mnt mnt:.*//' "$dir/snapshot.before"
	if eventually 10 as_before_but_namespaces; then ok "$1"; else
		fail "$1"
		diff "$dir/snapshot.before" "$dir/snapshot.after" | head -n 40 | sed 's/^/# /'
	fi
}
as_before_but_namespaces() {
	snapshot | sed -E 's/ mnt mnt:.*//' | sort >"$dir/snapshot.after"
	cmp -s "$dir/snapshot.before" "$dir/snapshot.after"
}

no_daemons() { ! processes | grep -qE ' (agentd|agentd-control|schedd|secretd|dialer|runnerd|spawner)$'; }
no_processes() { [ -z "$(processes)" ]; }

# --- agents -------------------------------------------------------------------------------------

agent() {
	local name=$1 body=$2 spec=${3:-}
	mkdir -p "$dir/agents/$name"
	printf '#!/bin/sh\n%s\n' "$body" >"$dir/agents/$name/$name"
	chmod 0755 "$dir/agents/$name/$name"
	cat >"$dir/agents/$name/manifest.yaml" <<-YAML
		apiVersion: scarab/v1
		kind: AgentManifest
		metadata: {name: $name, version: 1.0.0}
		spec:
		  runtime: rust
	YAML
	printf '%s\n' "$spec" | sed 's/^/  /' >>"$dir/agents/$name/manifest.yaml"
	# Tests let agents fail on purpose, and more often than the default of five times in a row.
	grep -q '^budget:' <<<"$spec" || echo '  budget: {failures_before_pause: 0}' >>"$dir/agents/$name/manifest.yaml"
	echo "$dir/agents/$name/manifest.yaml"
}

install() {
	local manifest said
	manifest=$(agent "$@")
	if ! said=$(ash agent install --replace "$manifest" 2>&1); then
		fail "the agent $1 installs"
		note "$said"
		return 1
	fi
}

# A gate holds agents until the test lets them go: they read from a FIFO in a context directory
# ($gate_context in the manifest, $gate_wait in the script; agentd.yaml must allow $dir/gate),
# which ends when the last writer, this shell's descriptor 9, is closed.
gate_new() {
	mkdir "$dir/gate"
	mkfifo -m 0444 "$dir/gate/fifo"
	# shellcheck disable=SC2034
	gate_context="context: [{source: $dir/gate, target: /context/gate}]"
	# shellcheck disable=SC2034
	gate_wait='read -r _ </context/gate/fifo;'
}
gate_shut() { exec 9<>"$dir/gate/fifo"; }
gate_open() { exec 9>&-; }

# latest AGENT KEY: of its newest session, from JSON.
latest() { ash --json session show "$1@latest" | jq -r "$2"; }

# --- cleaning up ----------------------------------------------------------------------------------

# Ends what this instance started, and nothing else: each pid is checked against its start time
# when it was listed, and the cgroup is the instance's own.
instance_end() {
	local pid started alive=()
	[ -n "$dir" ] || return 0
	mapfile -t alive < <(processes | while read -r pid _; do
		echo "$pid $(start_time "$pid")"
	done)
	if [ -n "$agentd_pid" ]; then
		kill -TERM "$agentd_pid" 2>/dev/null
		eventually 5 ended "$agentd_pid" || kill -KILL "$agentd_pid" 2>/dev/null
		wait "$agentd_pid" 2>/dev/null
		agentd_pid=''
	fi
	[ ! -e "$cgroup/cgroup.kill" ] || echo 1 >"$cgroup/cgroup.kill"
	while read -r pid started; do
		eventually 5 ended "$pid" "$started" || kill -KILL "$pid" 2>/dev/null
	done < <(printf '%s\n' "${alive[@]}")
	# A group is empty a moment after its last process was killed.
	eventually 5 remove_cgroup || note "$cgroup stays"
	# A killed agentd leaves its claim on ids for its next start, which will not come.
	rm -f "/run/scarab-runtime-ids/$session_ids-64"
	rmdir /run/scarab-runtime-ids 2>/dev/null || :
	rm -rf --one-file-system "$dir"
}
# ended PID [STARTED]: no such process, another one, or a zombie.
ended() {
	[ -z "$1" ] || [ "$(start_time "$1")" != "${2:-$(start_time "$1")}" ] ||
	    ! grep -qs '^State:.[^ZX]' "/proc/$1/status"
}
remove_cgroup() {
	local base left=0
	for base in "$cgroup" $(v1_bases | cut -d' ' -f2); do
		[ ! -d "$base" ] || find "$base" -depth -type d -exec rmdir {} + 2>/dev/null
		[ ! -d "$base" ] || left=1
	done
	return $left
}

finish() {
	local code=$?
	set +e
	trap - EXIT INT TERM HUP
	if [ "$failed" -gt 0 ] && [ -n "$dir" ] && [ -s "$dir/agentd.log" ]; then
		echo "# the end of agentd's log:"
		tail -n 40 "$dir/agentd.log" | sed 's/^/# /'
	fi
	instance_end
	[ "$failed" -eq 0 ] || exit 1
	exit "$code"
}
trap finish EXIT
trap 'exit 130' INT TERM HUP

#!/bin/bash
# timeout: 900
# Death at every named point (common/crash.h) of a session's set-up and teardown, of the journal, of
# homes and logs: whoever stands there, runnerd, or all daemons and keepers at once are killed with
# SIGKILL, and what is started again goes on. Then: the session has ended with a right outcome, its
# home is the old one or the new one, nothing is left of it. The points are those of the source;
# one that no scenario passes fails the test. Those of images are images_crash.sh's.
#
# CRASH_SWEEP=all: every time that a point is passed, not only the first; make crash-sweep.
# CRASH_POINTS=GLOB: only the points whose name and detail match. CRASH_SCENARIOS="NAME …": only these.
# Sessions with networks are among them, so all of it is in a network namespace of the test's own.
# shellcheck disable=SC2016,SC2154,SC2317
if [ "${OUTER:-}" != "$PPID" ]; then
	OUTER=$PPID exec unshare --net --mount --propagation private -- bash "$0" "$@"
fi
ip link set lo up
. "$(dirname "$0")/lib.sh"
read -ra scenarios <<<"${CRASH_SCENARIOS:-input plain fails unstartable undone adopted gone rotating rollback networked installed}"
instance_new 'limits: {sessions: 8}'
gate_new
printf 'ceilings: {allowed_context: ["%s/gate"]}\n' "$dir" >>"$dir/agentd.yaml"
mkdir "$dir/libexec"
find "$BUILD" -maxdepth 1 -type f -perm -u+x -exec cp -t "$dir/libexec" {} +
cp -r "$BUILD"/crash/* "$BUILD/python" "$BUILD/wasm" "$dir/libexec"
sed -i "s|^libexec_dir: .*|libexec_dir: $dir/libexec|" "$dir/agentd.yaml"
table() {
	local command=$1
	shift
	"$BUILD/tests/crash-table" "$command" "$dir/agentd.log" "$@"
}
table new
is "the programs that are installed name no point" \
    "$(grep -lE 'build[.]begin|crash_point' "$BUILD"/{runnerd,homekeeper,keeper})" ""
instance_up "the instance starts"

# --- who is at work ------------------------------------------------------------------------------

# Every session makes the next generation of its home: in a file, a directory that is replaced, a
# link, a name that moves, a list that grows. One that cannot read the last ends as nothing else does.
next_generation='cd || exit 9; g=0; [ ! -e ran ] || read -r g <gen || exit 8; o=$g; g=$((g + 1))
echo $g >gen; rm -rf tree; mkdir -p tree/deep only; echo $g >tree/a; echo $g >tree/deep/b
rm -f link; ln -s g$g link; echo $g >only/g$g; rm -f only/g$o; echo $SCARAB_SESSION_ID >>ran'
kept="home: {on_failure: discard, history: 3}
lifecycle: {timeout_secs: 100, stop_grace: 100ms}"
install plain "$next_generation" "$kept"
install input "$next_generation; cat >given" "$kept"
install fails "$next_generation; exit 7" "$kept"
install undone "$next_generation" "$kept"
install adopted "$next_generation; $gate_wait :" "$kept
$gate_context
network: {policy: allowlist, allowlist: [\"host.agentd:1\"]}"
install rotating 'head -c 40000000 /dev/zero | tr "\0" x; '"$next_generation" "$kept"
install gone "$next_generation" "$kept"
install rollback "$next_generation" "$kept"
install unstartable "$next_generation" "$kept"
mkdir -p "$dir/agents/networked"
cp "$BUILD/tests/mcp-server" "$dir/agents/networked/"
install networked "$next_generation; getent hosts host.agentd >address || exit 7" "$kept
network: {policy: allowlist, allowlist: [\"host.agentd:1\"]}
mcp_servers: [{name: one, command: ./mcp-server, network: {policy: allowlist, allowlist: [\"host.agentd:1\"]}}]"
# One with packages, which is installed over again and again.
mkdir -p "$dir/agents/installed"
/usr/bin/python3 - "$dir/agents/installed/greet-1.0-py3-none-any.whl" <<-'PY'
	import sys, zipfile
	with zipfile.ZipFile(sys.argv[1], "w") as wheel:
	    wheel.writestr("greet/__init__.py", "WORD = 'whole'\n")
	    for name in ("METADATA", "RECORD"):
	        wheel.writestr("greet-1.0.dist-info/" + name, "Metadata-Version: 2.1\nName: greet\nVersion: 1.0\n")
PY
echo 'import greet; print(greet.WORD)' >"$dir/agents/installed/main.py"
# version N: what is installed next.
version() {
	printf 'apiVersion: scarab/v1\nkind: AgentManifest\nmetadata: {name: installed, version: %s.0.0}\nspec: {entrypoint: main.py, packages: [greet-1.0-py3-none-any.whl]}\n' \
	    "$1" >"$dir/agents/installed/manifest.yaml"
}

# --- a home ----------------------------------------------------------------------------------------

# generation AGENT: of its home, or what is wrong with it.
generation() {
	local home=$dir/state/homes/$1/home g=0 a b lines
	if [ -e "$home/gen" ]; then
		g=$(<"$home/gen") a=$(cat "$home/tree/a" 2>&1) b=$(cat "$home/tree/deep/b" 2>&1)
		mapfile -t lines <"$home/ran"
		[ "$a $b ${#lines[@]} $(readlink "$home/link") $(echo "$home/only/"*)" = "$g $g $g g$g $home/only/g$g" ] ||
			g="torn: gen $g, tree $a $b, ${#lines[@]} lines, $(readlink "$home/link"), $(ls "$home/only")"
	elif [ -e "$home/tree" ] || [ -e "$home/only" ] || [ -e "$home/ran" ]; then
		g="torn: $(ls -A "$home")"
	fi
	echo "$g"
}

# --- what a death leaves -----------------------------------------------------------------------------

# Lines of what there should not be once a session has ended.
left() {
	(
		shopt -s nullglob dotglob
		printf '%s\n' "$dir"/state/sessions/* "$dir"/run/sessions/* "$cgroup"/*/ \
		    "$dir"/state/homes/*/{session,rollback,.purged-*,.*.new} \
		    "$dir"/state/homes/*/history/*/{new,undone,.*.new} "$dir"/log/*/*.next.*
		for entry in "$dir"/state/homes/*/history/*/; do
			[ -e "$entry/entry" ] && [ -d "$entry/old" ] || echo "$entry is not whole"
		done
	) | grep .
}
nothing_left() { [ -z "$(left)" ]; }
# In no hierarchy of the older kind either.
older_groups() {
	awk '$0 ~ / - cgroup / { print $5 }' /proc/self/mountinfo | sort -u |
	    xargs -r -I{} find {} -type d -path "*/${dir##*/}/*" 2>/dev/null
}
namespace_mounts() { grep -c ' - nsfs ' /proc/self/mountinfo; }

# --- killing ------------------------------------------------------------------------------------------

children_of() { cat "/proc/$1/task/"*/children 2>/dev/null; }
# named NAME PID…: those of the processes.
named() {
	local name=$1 pid comm
	shift
	for pid; do
		read -r comm 2>/dev/null <"/proc/$pid/comm" && [ "$comm" = "$name" ] && echo "$pid"
	done
}
of_sessions() { cat "$cgroup"/*/runtime/cgroup.procs "$cgroup"/*/agent/cgroup.procs 2>/dev/null; }
# The kernel's list of children may miss one while another begins or ends; agentd's file may not
# name a new one yet.
# shellcheck disable=SC2046
runnerd_pid() {
	named runnerd $(children_of "$agentd_pid") $(awk '$1 == "runnerd" { print $2 }' "$dir/run/agentd.pids") | sort -u
}
# stander POINT: the process that comes to such points.
stander() {
	# shellcheck disable=SC2046
	case $1 in
	homekeeper.* | commit.* | copy.* | rollback.* | merge.*) named homekeeper $(children_of "$(runnerd_pid)") ;;
	keeper.begin | keeper.egress | keeper.up | exit.* | gate.*) named keeper $(of_sessions) ;;
	builder.*) named builder $(of_sessions) ;;
	seed*) named init $(of_sessions) ;;
	*) runnerd_pid ;;
	esac
}
# found COMMAND…: its lines as $pids, when there are any.
found() {
	mapfile -t pids < <("$@")
	[ ${#pids[@]} -gt 0 ]
}
kill_runnerd() {
	local pids=()
	eventually 5 found runnerd_pid
	kill -KILL "${pids[@]}" 2>/dev/null
}
# everybody: the daemons, runnerd's children, and the keepers.
everybody() {
	# shellcheck disable=SC2046
	{ children_of "$agentd_pid"; for pid in $(runnerd_pid); do echo "$pid"; children_of "$pid"; done
		named keeper $(of_sessions); awk '{ print $2 }' "$dir/run/agentd.pids"; } | tr ' ' '\n' | grep . | sort -u
}
deaths=0
kill_at() {
	local pids=()
	case $1 in
	self) eventually 5 found stander "$2" ;;
	runnerd) eventually 5 found runnerd_pid ;;
	all) found everybody && pids+=("$agentd_pid") ;;
	esac
	[ ${#pids[@]} -gt 0 ] || fail "nobody stands at '$2'"
	kill -KILL "${pids[@]}" 2>/dev/null
	deaths=$((deaths + 1))
	[ "$1" = all ] || return 0
	wait "$agentd_pid" 2>/dev/null
	agentd_pid=''
}
# agentd counts deaths and waits ever longer: not in a test.
up_again() {
	[ -z "$agentd_pid" ] || [ $deaths -gt 1 ] || return 0
	deaths=0
	instance_stop
	instance_run || fail "agentd starts again"
}

# --- scenarios: what is run while a point is armed ------------------------------------------------------
# Each as a process of its own, because a client may have to wait for who was killed.

began() { ash agent run "$@" --detach >"$dir/id" 2>"$dir/asked"; }
start_plain() { began plain; }
start_fails() { began fails; }
start_rotating() { began rotating; }
start_networked() { began networked; }
start_input() { echo given | began input --input -; }
start_unstartable() {
	mv "$dir/agents/unstartable/unstartable" "$dir/agents/unstartable/away"
	began unstartable
}
# runnerd dies before the sandbox is complete; the point is passed by who undoes that.
start_undone() {
	table arm 1 "build.end tools"
	began undone &
	table wait $((10000 * factor)) "build.end tools" || echo "nothing was built" >>"$dir/asked"
	table rearm "$@"
	kill_runnerd
	wait $!
}
# The keeper has written down a success and dies with runnerd, and the home's layer with them. What
# was passed until then nobody passes again.
start_gone() {
	table arm 1 exit.durable
	began gone &
	table wait $((10000 * factor)) exit.durable || echo "no keeper came to its end" >>"$dir/asked"
	table arm "$@"
	# shellcheck disable=SC2046
	kill -KILL $(runnerd_pid) $(named keeper $(of_sessions))
	wait $!
}
# The point is passed by who adopts the session, or ends it then: the gate opens with this process.
start_adopted() {
	began adopted
	eventually 10 runs adopted
	kill_runnerd
	eventually 30 adopted_or_ended
}
adopted_or_ended() { grep -qa "session=$(<"$dir/id") adopted" "$dir/agentd.log" || ! runs adopted; }
runs() { [ "$(latest "$1" .state)" = running ]; }
start_rollback() { ash home rollback rollback rollback@latest >"$dir/asked" 2>&1; }

start_installed() { ash agent install --replace "$dir/agents/installed/manifest.yaml" >"$dir/asked" 2>&1; }
installed() { ash --json agent show installed 2>/dev/null | jq -r '.version | split(".")[0]'; }
# What the definition does not name, or not all that it does.
stray_packages() {
	local all=$dir/state/packages at
	at=$(find "$all/installed" -mindepth 1 -maxdepth 1 -printf '%f\n')
	[ "$(wc -l <<<"$at")" -eq 1 ] || echo "packages: $at"
	[ "$(cat "$all/installed/"*/greet/__init__.py 2>&1)" = "WORD = 'whole'" ] || echo "packages that are not whole"
	find "$all" -mindepth 1 -maxdepth 1 ! -name installed
	find "$dir/state/store" -name '.*' -type f
}
no_stray_packages() { [ -z "$(stray_packages)" ]; }

declare -A own_outcome=([plain]=success [input]=success [fails]=failed [unstartable]=setup_failed
	[undone]=success [adopted]=success [gone]=lost [rotating]=success [networked]=success)

# ready SCENARIO: what must be there before.
ready() {
	case $1 in
	adopted) gate_shut ;;
	rollback) ash agent run rollback >/dev/null || fail "a session to undo" ;;
	esac
	if [ "$1" = installed ]; then
		was=$(installed)
		version $((was + 1))
		return
	fi
	was=$(generation "$1") last=$(latest "$1" .id 2>/dev/null)
}

# --- one death --------------------------------------------------------------------------------------------

# ended AGENT: the session that was begun, if there is one; sets outcome.
await_outcome() {
	local id
	id=$(latest "$1" .id 2>/dev/null)
	outcome=none
	if [ -z "$id" ] || [ "$id" = "$last" ]; then return; fi
	ash session wait "$id" >/dev/null 2>&1
	outcome=$(latest "$1" '.state + " " + .outcome')
	outcome=${outcome#ended }
}

# outcomes SCENARIO MODE POINT: the right ones, as a pattern. Who killed only runnerd or a homekeeper
# changed nothing for the agent; what a keeper's death costs is that session.
outcomes() {
	case $2:$3 in
	runnerd:* | self:homekeeper* | self:commit* | self:copy* | self:merge*) echo "${own_outcome[$1]}" ;;
	# Whoever comes there may be of the set-up that is being undone, and it is built again.
	self:seed* | self:builder* | self:keeper.*) echo "setup_failed$([ "$1" != undone ] || echo '|success')" ;;
	self:exit.* | self:gate.*) echo "${own_outcome[$1]}|lost$([ "$1" != undone ] || echo '|setup_failed')" ;;
	*) echo "${own_outcome[$1]}|lost|none" ;;
	esac
}

# judge SCENARIO MODE POINT NTH
judge() {
	local now want wrong=''
	if [ "$1" = installed ]; then
		eventually 20 installed >/dev/null
		now=$(installed)
		[ "$now" = "$was" ] || [ "$now" = $((was + 1)) ] || wrong+=" the definition: $now, was $was;"
		eventually 20 no_stray_packages || wrong+=" left: $(stray_packages | tr '\n' ' ');"
	elif [ "$1" = rollback ]; then
		# A homekeeper whose runnerd died has the lock until it is done; the next runnerd, which
		# looks at the lock too, has begun by then.
		eventually 20 ash home log rollback >/dev/null 2>&1 || wrong+=" runnerd does not answer;"
		flock -w 20 "$dir/state/homes/rollback" true || wrong+=" somebody is at the home;"
		eventually 20 nothing_left || wrong+=" left: $(left | tr '\n' ' ');"
		now=$(generation rollback)
		[ "$now" = "$was" ] || [ "$now" = $((was - 1)) ] || wrong+=" the home: $now, was $was;"
	else
		await_outcome "$1"
		[[ $outcome =~ ^($(outcomes "$1" "$2" "$3"))$ ]] ||
			wrong+=" $outcome, not $(outcomes "$1" "$2" "$3"): $(latest "$1" .reason);"
		want=$was
		[ "$outcome" != success ] || want=$((was + 1))
		eventually 20 nothing_left || wrong+=" left: $(left | tr '\n' ' ');"
		now=$(generation "$1")
		[ "$now" = "$want" ] || wrong+=" $outcome, but the home: $now, was $was;"
	fi
	[ -z "$wrong" ] && return
	fail "$1: kill -9 of $2 at '$3', time $4:$wrong"
	grep -a "session=$(latest "$1" .id)" "$dir/agentd.log" | tail -n 12 | sed 's/^/# /'
}

# die SCENARIO MODE POINT NTH
die() {
	local job
	ready "$1"
	table arm "$4" "$3"
	( trap - EXIT; "start_$1" "$4" "$3" ) &
	job=$!
	gate_open
	if table wait $((${5:-10000} * factor)) "$3"; then
		kill_at "$2" "$3"
		table let
		died=$((died + 1))
	elif [ "$4" -eq 1 ]; then
		fail "$1: nobody came to '$3'"
	else
		missed=$((missed + 1))
	fi
	table let
	[ "$2" != all ] || up_again
	wait $job
	judge "$1" "$2" "$3" "$4"
	up_again
	[ "$1" != unstartable ] || mv "$dir/agents/unstartable/away" "$dir/agents/unstartable/unstartable"
}

# --- the sweep ----------------------------------------------------------------------------------------------

# points SCENARIO: what it passes when nobody is killed, as lines "COUNT POINT" in $dir/points.
points() {
	ready "$1"
	table arm
	( trap - EXIT; "start_$1" 0 none )
	gate_open
	[[ $1 == @(rollback|installed) ]] || await_outcome "$1"
	eventually 20 nothing_left || fail "$1: without a death: $(left | tr '\n' ' ')"
	table list | grep -v 'file[.]removed .*-' >"$dir/points"
	deaths=2
	up_again
	[ "$1" != unstartable ] || mv "$dir/agents/unstartable/away" "$dir/agents/unstartable/unstartable"
}
times() { if [ "${CRASH_SWEEP:-}" = all ]; then seq "$1"; else echo 1; fi; }
modes() {
	case $1 in
	homekeeper.* | commit.* | copy.* | rollback.* | merge.* | keeper.begin | keeper.egress | keeper.up | exit.* | gate.* | builder.* | seed*)
		echo self runnerd all
		;;
	*) echo runnerd all ;;
	esac
}

declare -A seen=()
# What several scenarios pass, but as something else: a discarded home, a set-up undone halfway, a
# session that was adopted.
declare -A anew=([plain]='layer.*|commit.*' [fails]='commit.*|home*|held.*' [unstartable]='undo.*|end.*|frame.undone'
	[undone]='recover.*|undo.*|end.*|layer.*|home.*' [adopted]='recover.*|adopt.*|exit.*|held.*|end.*|copy.*|commit.*'
	[gone]='home.*|homekeeper.*|end.*|undo.* identity' [networked]='build.* network|undo.* network'
	[rollback]='home*|merge.*|commit.*')
sweep() {
	local line count point nth mode died=0 missed=0 before=$failed passed
	points "$1"
	mapfile -t passed <"$dir/points"
	for line in "${passed[@]}"; do
		read -r count point <<<"$line"
		[ -z "${seen[$point]:-}" ] || [[ $point == @(${anew[$1]:-}) ]] || continue
		seen[$point]=$1
		# shellcheck disable=SC2053
		[[ $point == ${CRASH_POINTS:-*} ]] || continue
		for mode in $(modes "$point"); do
			for nth in $(times "$count"); do die "$1" "$mode" "$point" "$nth"; done
		done
	done
	[ "$failed" -ne "$before" ] || ok "$1: $died deaths, every session ended right, every home is whole"
	[ $missed -eq 0 ] || note "$1: $missed points were not passed that often this time"
}
version 1
ash agent install "$dir/agents/installed/manifest.yaml" >/dev/null || fail "the agent with packages installs"
ash agent run plain >/dev/null
eventually 5 nothing_left
deaths=2
up_again
snapshot_take
mounts_before=$(namespace_mounts)
# on_disk SCENARIO: where root accepts that nothing bounds it, a session's layer is on disk.
on_disk() {
	case $1 in
	plain) echo 'degraded: [disk]' >>"$dir/agentd.yaml" ;;
	*) sed -i '/^degraded:/d' "$dir/agentd.yaml" ;;
	esac
	ash reload >/dev/null
}
for scenario in "${scenarios[@]}"; do
	began_at=$SECONDS
	on_disk "$scenario"
	sweep "$scenario"
	note "$scenario took $((SECONDS - began_at)) s"
	settled_fds "$scenario: no process, group, mount, descriptor or file is left"
	is "$scenario: no group of an older hierarchy either" "$(older_groups)" ""
done
is "no namespace is kept by a mount" "$(namespace_mounts)" "$mounts_before"
is "every session has ended" "$(ash --json session list --limit 100000 | jq -r '.[] | select(.state != "ended") | .id')" ""
if [ -z "${CRASH_POINTS:-}${CRASH_SCENARIOS:-}" ]; then
	is "every point of the source was passed" "$(comm -23 \
	    <(grep -rhoE 'CRASH_POINT(_OF)?\("[^"]+' "$root/runnerd" | sed 's/.*"//' | grep -v '^image[.]' | sort -u) \
	    <(printf '%s\n' "${!seen[@]}" | cut -d' ' -f1 | sort -u))" ""
	is "and every step is built and undone" "$(printf '%s\n' "${!seen[@]}" | sed -n 's/^\(build\|undo\)[.]\(begin\|end\) //p' | sort | uniq -c |
	    awk '$1 != 4 { print $2 }')" ""
	note "${#seen[@]} points"
fi

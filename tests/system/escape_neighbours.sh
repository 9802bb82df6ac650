#!/bin/bash
# timeout: 240
# What an agent cannot reach beside its sandbox: another agent that runs at the same time, the pipes
# it was given, and who acts as root on names that it, or who owns a context, changes meanwhile. Each
# program of tests/escape is shown first to succeed where nothing stops it. At the end: every class of
# escapes has a program, and every program a class.
# shellcheck disable=SC2016,SC2119,SC2154
. "$(dirname "$0")/lib.sh"
need_root "the escape corpus"
instance_new 'limits: {sessions: 8}'
printf 'ceilings: {allowed_context: ["%s/shared"]}\n' "$dir" >>"$dir/agentd.yaml"
instance_up "the instance starts"
programs=$BUILD/tests/escape
weak() { unshare -m -n -p -f -i -u --mount-proc --propagation private sh -c '"$@"; exit $?' sh "$@"; }

# with_program NAME PROGRAM ARGUMENTS [YAML]: an agent that is this program.
with_program() {
	mkdir -p "$dir/agents/$1"
	cp "$programs/$2" "$dir/agents/$1/$2"
	install "$1" 'exec "${0%/*}/'"$2\" $3" "${4:-}"
}

# --- two at once ----------------------------------------------------------------------------------

with_program first neighbour hold 'lifecycle: {timeout_secs: 100, stop_grace: 1s}'
with_program second neighbour ''
with_program third neighbour '' 'trust_level: untrusted'
if weak true 2>/dev/null; then
	weak sh -c '"$1" hold >"$2" & until grep -q ready "$2"; do :; done; "$1"; code=$?; kill $!; wait; exit $code' \
	    sh "$programs/neighbour" "$dir/held" >"$dir/control" 2>&1 </dev/null
	is "without a sandbox one finds its neighbour" "$?" 0
	# Both homes and the network are the same there; not every host has every kind.
	like "in most of the ways" "$(grep -c '^ESCAPED' "$dir/control")" '^([6-9]|1[0-9])$'
else
	skip "without a sandbox one finds its neighbour" "unshare of namespaces is not permitted here"
fi
id=$(ash agent run first --detach)
ready() { ash session logs "$id" | grep -q ready; }
check "an agent leaves what may be found" eventually 10 ready
for agent in second third; do
	status "$agent finds nothing of it" 1 ash agent run $agent
	is "$agent: in no way" "$(grep '^ESCAPED' "$dir/out")" ""
	like "$agent: looked in each way" "$(grep -c '^held' "$dir/out")" '^14$'
done
is "the first one was not touched" "$(ash --json session show "$id" | jq -r .state)" running
ash session cancel "$id"
ash session wait "$id" >/dev/null 2>&1

# --- its own pipes -----------------------------------------------------------------------------------

with_program plumber pipes '' 'lifecycle: {timeout_secs: 100, stop_grace: 100ms}'
weak "$programs/pipes" >"$dir/control" 2>&1 </dev/null
is "without pipes it sees that there are none" "$(grep -c '^ESCAPED' "$dir/control")" "$(grep -c 'is no pipe$' "$dir/control")"
head -c 8000000 /dev/zero >"$dir/input"
began=$SECONDS
ash agent run plumber --input "$dir/input" >"$dir/out" 2>&1
is "an agent that turns its pipes against their owner ends as it ended" "$?" 1
is "and reached nothing" "$(grep -c '^ESCAPED' "$dir/out") $(grep -c '^held' "$dir/out")" "0 9"
note "after $((SECONDS - began)) s"
install after 'echo after'
is "another session runs" "$(ash agent run after)" after

# --- races ---------------------------------------------------------------------------------------------

mkdir "$dir/canary"
echo safe >"$dir/canary/file"
seen() { (cd "$dir/canary" && find . -printf '%P %y %m %U %G %s %T@\n' | sort; cat file); }
canary=$(seen)
with_program races race home "env: {CANARY: $dir/canary}
home: {history: 5}"
for round in 1 2 3 4; do
	status "an agent whose children change its home while it ends, round $round" 0 ash agent run races
done
homes=$dir/state/homes
is "nothing of its children is left" "$(ls -A "$cgroup")" "$(find "$cgroup" -mindepth 1 -maxdepth 1 ! -type d -printf '%f\n' | sort)"
is "its home is its own" "$(find "$homes/races/home" ! -uid $((session_ids + 1000)) ! -uid $((session_ids + 65536 + 1000)) \
    ! -uid "$(stat -c %u "$homes/races/home")" | head)" ""
is "the canary is as it was" "$(seen)" "$canary"
status "a rollback over what raced" 0 ash home rollback races "$(ash --json home log races | jq -r '.[-1].session')"
is "and the canary still" "$(seen)" "$canary"

with_program floods race log
status "an agent that floods its output" 0 ash agent run floods --detach
status "ends" 0 ash session wait floods@latest
logs=$(find "$dir/log/floods" -type f -printf '%s\n' | awk '{ all += $1 } END { print int(all / 1048576) }')
like "its log has two segments at most ($logs MiB)" "$logs" '^([12]?[0-9]|3[0-3])$'
is "all of them root's" "$(find "$dir/log/floods" ! -user root)" ""
is "another session runs" "$(ash agent run after)" after

# Who owns a directory below allowed_context swaps it for a link to what root alone may read.
mkdir -p "$dir/shared/sub" "$dir/secret"
echo public >"$dir/shared/sub/file"
echo secret >"$dir/secret/file"
chmod 0700 "$dir/secret"
install reads 'cat /context/file/file 2>/dev/null || echo nothing' \
    "context: [{source: $dir/shared/sub, target: /context/file}]"
is "a context is there" "$(ash agent run reads)" public
ln -s "$dir/secret" "$dir/shared/link"
"$BUILD/tests/exchange" 100000000 "$dir/shared/sub" "$dir/shared/link" >"$dir/swap" 2>&1 &
swapper=$!
eventually 10 grep -q ready "$dir/swap" || fail "names are swapped"
naive=0
for _ in $(seq 400); do [ "$(cat "$dir/shared/sub/file" 2>/dev/null)" != secret ] || naive=$((naive + 1)); done
check "who opens it by its name reads the secret ($naive of 400)" test $naive -gt 0
told=''
for _ in $(seq 40); do told+="$(ash agent run reads 2>/dev/null) "; done
kill $swapper 2>/dev/null
wait $swapper 2>/dev/null
is "no agent ever does, in 40 sessions" "$(grep -o secret <<<"$told" | wc -l)" 0
like "some of them found their context" "$told" public
note "$(tr ' ' '\n' <<<"$told" | grep . | sort | uniq -c | tr -s ' \n' ' ')"

# --- every class has a program ---------------------------------------------------------------------------

declare -A classes=(
	["the CVEs of other runtimes"]="runtimes terminal"
	["ptrace and memory of process 1"]=ptrace
	["signals outside"]=signals
	["mounts"]=mount
	["unshare, setns, clone with namespaces"]=namespaces
	["bpf, io_uring, keyctl, userfaultfd, perf"]=kernel
	["open_by_handle_at"]=handles
	["AF_PACKET, ALG, VSOCK, NETLINK"]=sockets
	["TIOCSTI"]=terminal
	["32-bit and x32 entry"]=foreign
	["writing any host file"]=hostfiles
	["another agent's home, uid, process, socket, shm or key"]=neighbour
	["device nodes"]=devices
	["setuid binaries"]=setuid
	["raising limits"]=limits
	["the machine's name, time, modules"]=system
	["fork bomb"]=forks
	["memory bomb"]=memory
	["disk and inode bombs"]=disk
	["file descriptor bomb"]=descriptors
	["what an image may plant"]=image
	["symlink and rename races, stdout flood"]=race
	["closing or filling every pipe it was given"]=pipes
	["the table of system calls"]=matrix
)
missing='' used=''
for class in "${!classes[@]}"; do
	for program in ${classes[$class]}; do
		used+="$program"$'\n'
		[ -x "$programs/$program" ] && grep -qrE "(^|[^a-z])$program([^a-z]|\$)" "$here"/*.sh || missing+="$class: $program; "
	done
done
is "every class of escapes has a program that a test runs" "$missing" ""
is "every program has a class" "$(comm -13 <(sort -u <<<"$used" | grep .) <(find "$programs" -type f -printf '%f\n' | sort))" ""

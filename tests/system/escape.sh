#!/bin/bash
# The escape corpus: each program of tests/escape tries one class of ways out of a sandbox, as the
# agent itself, with the default and with the smallest set of system calls. Each must fail, and each
# is shown first to succeed where nothing stops it. Then the whole table of system calls as an agent
# meets it, Landlock, and that ordinary programs work.
# timeout: 300
# shellcheck disable=SC2016,SC2119,SC2154
. "$(dirname "$0")/lib.sh"
corpus=(ptrace signals mount namespaces kernel handles sockets terminal foreign hostfiles setuid limits devices system forks descriptors runtimes)

need_root "the escape corpus"
instance_start
body='exec "${0%/*}/$SCARAB_TASK"'
install escape "$body"
install escape-untrusted "$body" 'trust_level: untrusted'
for agent in escape escape-untrusted; do
	cp "$BUILD/tests/escape/"* "$dir/agents/$agent/"
	command install -m 4755 "$BUILD/tests/escape/setuid" "$dir/agents/$agent/setuid.root"
done
programs=$dir/agents/escape

# --- the programs can tell the difference --------------------------------------------------------
# Root in namespaces of its own, or nobody: a sandbox that holds nothing back.

weak() { unshare -m -n -p -f -i -u --mount-proc --propagation private sh -c '"$@"; exit $?' sh "$@"; }
nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups --bounding-set -all --inh-caps -all "$@"; }
control() {
	case $1 in
	setuid) nobody "$programs/setuid" ;;
	runtimes) weak "$programs/runtimes" 9</ ;;
	*) weak "$programs/$1" ;;
	esac
}
if weak true 2>/dev/null; then
	for program in "${corpus[@]}"; do
		if control "$program" >"$dir/control.$program" 2>&1 </dev/null &&
		    grep -q '^ESCAPED' "$dir/control.$program"; then
			ok "$program escapes from no sandbox ($(grep -c '^ESCAPED' "$dir/control.$program") ways)"
		elif [ "$program" = foreign ]; then
			skip "$program escapes from no sandbox" "this kernel knows one table of system calls"
		else
			fail "$program escapes from no sandbox"
			sed 's/^/# /' "$dir/control.$program"
		fi
	done
else
	skip "the programs escape from no sandbox" "unshare of namespaces is not permitted here"
fi

# --- and fail as agents ----------------------------------------------------------------------------

for agent in escape escape-untrusted; do
	for program in "${corpus[@]}"; do
		ash agent run "$agent" --task "$program" >"$dir/$agent.$program" 2>&1
		if [ $? -eq 1 ] && grep -q '^held' "$dir/$agent.$program" &&
		    ! grep -q '^ESCAPED' "$dir/$agent.$program"; then
			ok "$agent: $program ($(grep -c '^held' "$dir/$agent.$program") ways)"
		else
			fail "$agent: $program"
			grep -v '^held' "$dir/$agent.$program" | sed 's/^/# /'
		fi
	done
	is "$agent: the terminal was there to be tried" "$(grep -c '^held: TIOCSTI .*Operation not permitted' "$dir/$agent.terminal")" 3
	is "$agent: every way that the control tried was tried" \
	    "$(cat "$dir/$agent."* | grep -c '^held')" "$(cat "$dir"/control.* | grep -cE '^(held|ESCAPED)')"
done

# --- and as plugins ----------------------------------------------------------------------------------
# All at once, each in a sandbox of its own. None of them is an MCP server, so each fails to start, and
# the agent begins when the last one has ended.

install escape-plugins 'exit 0'
cp "$BUILD/tests/escape/"* "$dir/agents/escape-plugins/"
command install -m 4755 "$BUILD/tests/escape/setuid" "$dir/agents/escape-plugins/setuid.root"
{
	echo '  mcp_servers:'
	for program in "${corpus[@]}"; do
		echo "    - {name: $program, required: false, start_timeout: 120s, command: /bin/sh, args: [-c, 'exec 3>&1; ./$program >&2 3>&-']}"
	done
} >>"$dir/agents/escape-plugins/manifest.yaml"
check "the corpus installs as plugins" ash agent install --replace "$dir/agents/escape-plugins/manifest.yaml"
status "a session with all of them" 0 ash agent run escape-plugins
cat "$dir/log/escape-plugins/"*.jsonl | jq -r 'select(.text) | "\(.stream) \(.text)"' >"$dir/plugins"
# The shell around it is the plugin's own process.
sed -i '/^plugin-signals ESCAPED: kill of 1 other processes$/d' "$dir/plugins"
for program in "${corpus[@]}"; do
	if grep -q "^plugin-$program held" "$dir/plugins" && ! grep -q "^plugin-$program ESCAPED" "$dir/plugins"; then
		ok "plugin: $program ($(grep -c "^plugin-$program held" "$dir/plugins") ways)"
	else
		fail "plugin: $program"
		grep "^plugin-$program " "$dir/plugins" | grep -v ' held' | sed 's/^/# /'
	fi
done

# --- the table of system calls -----------------------------------------------------------------------
# A line may be missing or differ from the list only where the kernel itself refuses nobody the same way.

explained() {
	sed -i -E '/^33[56] /d' "$dir/matrix.$1" # no filter sees uretprobe and uprobe since Linux 6.11
	join <(sort "$dir/matrix.$1") <(sort "$here/../escape/matrix.$2") | join - <(sort "$dir/matrix.nobody") |
	    awk '$2 != $3 && !($3 == "kernel" && $2 == $5) { print "call " $1 " (" $4 "): " $2 ", not " $3 }'
}
if [ "$(uname -m)" = x86_64 ] && weak true 2>/dev/null; then
	weak setpriv --reuid 65534 --regid 65534 --clear-groups --bounding-set -all --inh-caps -all \
	    "$programs/matrix" >"$dir/matrix.nobody" 2>&1
	for agent in escape:default escape-untrusted:smallest; do
		ash agent run "${agent%:*}" --task matrix >"$dir/matrix.${agent%:*}" 2>"$dir/err"
		is "${agent#*:}: every number was tried" "$(grep -c . "$dir/matrix.${agent%:*}")" "$(grep -c . "$here/../escape/matrix.${agent#*:}")"
		is "${agent#*:}: the system calls are those of the list" "$(explained "${agent%:*}" "${agent#*:}")" ""
	done
else
	skip "the system calls are those of the list" "the lists are for x86-64"
fi

is "show names the set of system calls" "$(ash --json agent show escape | jq -r .sandbox.seccomp) $(ash --json agent show escape-untrusted | jq -r .sandbox.seccomp)" "default smallest"

# --- Landlock -------------------------------------------------------------------------------------------

install paths 'for f in /proc/self/comm /proc/self/oom_score_adj /dev/null /dev/zero /dev/full /tmp/f /home/agent/f /run/agent/f /dev/shm/f; do
	if (: >>"$f") 2>/dev/null; then echo "$f yes"; else echo "$f no"; fi; done
cd /tmp && mkdir -p a b && echo x >a/f && mv a/f b/f && cp b/f /home/agent/g && ln b/f a/h && rm -r a b && echo moved
/bin/sh -c "echo runs"; cp /bin/true /tmp/own && /tmp/own && echo runs its own; exec 3<>/dev/ptmx && echo has terminals'
ash agent run paths >"$dir/paths" 2>&1
is "files may be written, moved and run in the agent's places" "$(grep -E ' (yes|terminals|own)$|moved|runs$' "$dir/paths" | grep -v '^/proc' | tr '\n' ';')" \
    "/dev/null yes;/dev/zero yes;/dev/full yes;/tmp/f yes;/home/agent/f yes;/run/agent/f yes;/dev/shm/f yes;moved;runs;runs its own;has terminals;"
if ash --json doctor | jq -e '.. | objects | select(.name? == "landlock") | .present' >/dev/null; then
	is "and nothing else, /proc included" "$(grep '^/proc' "$dir/paths" | tr '\n' ';')" "/proc/self/comm no;/proc/self/oom_score_adj no;"
else
	skip "Landlock restricts what may be written" "this kernel has none"
fi
like "runnerd says once which filters and which Landlock agents get" "$(grep -c 'agents: .*Landlock' "$dir/agentd.log")" '^1$'

# --- ordinary programs ------------------------------------------------------------------------------------

# works AGENT TEXT PROGRAM COMMAND WANT: where PROGRAM is seen from inside.
works() {
	local agent=$1
	if ! [[ $(readlink -f "$(PATH=/usr/bin:/bin command -v "$3")") == /usr/* ]]; then
		skip "$agent: $2" "$3 is not installed below /usr"
		return
	fi
	cp "$dir/agents/$agent/$agent" "$dir/body"
	install "$agent" "$4" "$(sed -n 's/^  trust_level/trust_level/p' "$dir/agents/$agent/manifest.yaml")"
	ash agent run "$agent" >"$dir/works" 2>&1
	is "$agent: $2" "$(tail -n 1 "$dir/works")" "$5"
}
install default-programs 'exit 0'
install smallest-programs 'exit 0' 'trust_level: untrusted'
for agent in default-programs smallest-programs; do
	works $agent "python3: threads, processes, files, sockets of its own" python3 'exec python3 -c "
import threading, subprocess, tempfile, socket, select, os
t = [threading.Thread(target=lambda: None) for _ in range(42)]
[x.start() for x in t]; [x.join() for x in t]
a, b = socket.socketpair(); a.send(b\"x\"); select.select([b], [], [], 1)
with tempfile.TemporaryFile() as f: f.write(b\"x\"); os.fsync(f.fileno())
print(subprocess.run([\"/bin/echo\", \"python works\"], capture_output=True, text=True).stdout.strip())"' "python works"
	works $agent "node: workers, processes, files" node 'exec node -e "
const { Worker } = require(\"worker_threads\"), fs = require(\"fs\"), cp = require(\"child_process\");
fs.writeFileSync(\"/tmp/n\", \"x\"); const w = fs.watch(\"/tmp\"); w.close();
new Worker(\"1\", { eval: true }).on(\"exit\", () => console.log(cp.execFileSync(\"/bin/echo\", [\"node works\"]).toString().trim()));"' "node works"
	works $agent "git: a commit, a clone" git 'cd /tmp && git init -q r && cd r && git -c user.name=a -c user.email=a@b commit -q --allow-empty -m m && git gc -q && git clone -q /tmp/r /tmp/c && git -C /tmp/c log --format=%s' "m"
	works $agent "gcc: compiles and runs" gcc 'echo "int main(void) { return 7; }" >/tmp/x.c; gcc -O2 -o /tmp/x /tmp/x.c; /tmp/x; echo $?' "7"
	works $agent "bash: pipes, process substitution, jobs" bash 'exec bash -c "diff <(seq 3) <(seq 3) && (echo x | tee >(cat >/dev/null) >/dev/null) & wait; ls -lR /etc >/dev/null 2>&1; echo bash works"' "bash works"
done
works default-programs "curl: over the loopback" curl 'python3 -m http.server -d /usr/share/doc --bind 127.0.0.1 8000 >/dev/null 2>&1 & exec curl -s -o /dev/null --retry 50 --retry-connrefused --retry-delay 0 -w "%{http_code}\n" http://127.0.0.1:8000/' "200"
works default-programs "python3: the network's interfaces, memfd" python3 'exec python3 -c "
import socket, os; print(socket.if_nameindex()[0][1], os.memfd_create(\"x\") > 2)"' "lo True"
works default-programs "node: the network's interfaces" node 'exec node -e "console.log(Object.keys(require(\"os\").networkInterfaces()).join())"' "lo"
works smallest-programs "no socket of the network" python3 'exec python3 -c "
import socket
try: socket.socket()
except OSError as e: print(e.strerror)"' "Address family not supported by protocol"

#!/bin/bash
# What an agent finds at its first instruction: descriptors, identity, privileges, environment,
# mounts, network. Whatever is not expected here fails.
# shellcheck disable=SC2154
. "$(dirname "$0")/lib.sh"
export SECRET_OF_THE_OPERATOR=canary
instance_start "$(printf 'defaults: {max_open_files: 512}')"
mkdir -p "$dir/agents/probe"
cp "$BUILD/tests/probe" "$dir/agents/probe/probe"
cat >"$dir/agents/probe/manifest.yaml" <<YAML
apiVersion: scarab/v1
kind: AgentManifest
metadata: {name: probe, version: 1.0.0}
spec: {runtime: native, args: [one, "two words"], home: {mode: journal}}
YAML
ash agent install "$dir/agents/probe/manifest.yaml" >/dev/null || fail "the probe installs"
ash agent run probe >"$dir/view" 2>"$dir/view.err" || fail "the probe runs: $(cat "$dir/view.err")"
view() { sed -n "s,^$1,,p" "$dir/view"; }
base=$(sed -n 's/^status Uid:\t\([0-9]*\).*/\1/p' "$dir/view")

is "descriptors: 0, 1 and 2 alone" "$(view 'fd ' | tr '\n' ' ')" "0 1 2 "
is "arguments" "$(view 'argument [12] ' | tr '\n' '|')" "one|two words|"
is "user and group 1000, no supplementary groups" "$(view 'uid ')" "1000 gid 1000 groups 0"
is "the leader of a session of its own" "$(view 'session leader ')" 1
is "its parent is PID 1" "$(view 'parent ')" 1
is "host name" "$(view 'hostname ')" probe
is "no capability in any set" \
    "$(grep -E '^status Cap(Inh|Prm|Eff|Bnd|Amb):' "$dir/view" | grep -cv '0000000000000000$')" 0
is "no_new_privs" "$(view 'status NoNewPrivs:.')" 1
is "under a filter of system calls" "$(view 'status Seccomp:.')" 2
is "a user namespace of its own: uid 1000 inside" "$base" 1000
is "core dumps off" "$(view 'core ')" 0
is "open files as agentd.yaml says" "$(view 'nofile ')" 512
is "lo and nothing else" "$(view 'interface ' | tr '\n' ' ')" "lo "
is "no signal blocked or ignored" "$(grep -cE '^(blocked|ignored) ' "$dir/view")" 0
is "writable: home, /tmp, /run/agent, /dev/shm" "$(view 'writable ' | sort | tr '\n' ' ')" \
    "/dev/shm /home/agent /run/agent /tmp "

is "nothing of the operator's environment" "$(grep -c canary "$dir/view")" 0
is "the environment's names" "$(view 'env ' | cut -d= -f1 | sort | tr '\n' ' ')" \
    "AGENT_NAME CREDENTIALS_DIRECTORY HOME LANG LOGNAME PATH SCARAB_AGENT_ID SCARAB_MISSION SCARAB_MODEL SCARAB_SESSION_ID SCARAB_SOCKET SCARAB_TASK TMPDIR USER XDG_RUNTIME_DIR "

is "mounts are all nosuid but the root's" \
    "$(view 'mount ' | awk '$5 != "/" && $6 !~ /nosuid/ { print $5 }' | tr '\n' ' ')" ""
is "mounts are all nodev but devices'" \
    "$(view 'mount ' | awk '$5 !~ "^/dev" && $6 !~ /nodev/ { print $5 }' | tr '\n' ' ')" ""
is "no mount propagates from or to the host" "$(view 'mount ' | grep -cE ' (shared|master):')" 0
is "/usr is read-only" "$(view 'mount ' | awk '$5 == "/usr" { print substr($6, 1, 3) }' | tail -n 1)" "ro,"
is "/proc shows processes only" "$(view 'mount ' | grep -E ' /proc ' | grep -oE 'hidepid=[a-z0-9]+|subset=pid' | sort | tr '\n' ' ')" \
    "hidepid=invisible subset=pid "
is "terminals are bounded: the host's number of them is for all" \
    "$(view 'mount ' | awk '$5 == "/dev/pts"' | grep -oE 'max=[0-9]+')" max=64
# The socket's own is the one exception: it is made where the broker is.
is "no path of the host outside is in a mount's source" \
    "$(view 'mount ' | awk '$5 != "/run/agentd/agentd.sock" { print $4 }' | grep -c "^$dir/\(log\|run\|state/store\|state/sched\|state/secrets\)")" 0
is "/dev" "$(view 'dir /dev ' | sort | tr '\n' ' ')" "fd full null ptmx pts random shm stderr stdin stdout tty urandom zero "
is "/" "$(view 'dir / ' | grep -vE '^(bin|sbin|lib|lib32|lib64|libx32)$' | sort | tr '\n' ' ')" \
    "dev etc home proc run skills tmp usr $(echo "$dir" | cut -d/ -f2 | grep -v '^tmp$')"
is "/run/agentd has the socket, the bridge, its configuration, the mission and the tools" \
    "$(view 'dir /run/agentd ' | sort | tr '\n' ' ')" "agentd.sock mcp-bridge mcp.json mission.json tools.json "
is "the bridge is a mount of its own, read-only" \
    "$(view 'mount ' | awk '$5 == "/run/agentd/mcp-bridge" { print substr($6, 1, 3), ($6 ~ /nosuid/ && $6 ~ /nodev/) }')" "ro, 1"
is "/run/credentials is empty" "$(view 'dir /run/credentials ')" ""
is "/proc/sys is not there" "$(view 'dir /proc/sys: ')" "No such file or directory"

install looks 'cat /etc/passwd | wc -l; id -un; getent hosts localhost >/dev/null && echo hosts; cat /etc/hostname
cat /etc/shadow 2>/dev/null; ls /root 2>/dev/null; ls '"$dir"' ; ls /home; ps ax 2>/dev/null | wc -l; ls -d /proc/[0-9]* | wc -l'
ash agent run looks >"$dir/looks" 2>&1
like "a synthesised /etc/passwd knows the agent" "$(cat "$dir/looks")" agent
is "only its install folder is there of the host" "$(grep -cE '^(agentd.yaml|state|log)$' "$dir/looks")" 0

# /etc/NAME is there without asking, but for what the sandbox makes itself or what is the host's.
for name in machine-id mtab; do
	install $name 'cat /etc/mtab'
	ash agent run $name >"$dir/$name" 2>&1 </dev/null
	like "an agent called $name sees no /etc/mtab of the host" "$(cat "$dir/$name")" \
	    '^cat: /etc/mtab: No such file'
done

# What tells the agent where it is.
install reads 'cat /run/agentd/mcp.json; ls -A; cat CLAUDE.md; grep -c mcp-bridge AGENTS.md; stat -c "%u %a %F" AGENTS.md
/run/agentd/mcp-bridge </dev/null; echo $?; /run/agentd/mcp-bridge --help; echo $?
touch /run/agentd/mcp-bridge 2>&1; : >>AGENTS.md && echo mine >CLAUDE.md; rm AGENTS.md'
ash agent run reads >"$dir/reads" 2>"$dir/reads.err"
is "mcp.json starts the bridge" "$(head -n 1 "$dir/reads")" \
    '{"mcpServers":{"agentd":{"command":"/run/agentd/mcp-bridge"}}}'
is "a new home holds AGENTS.md and CLAUDE.md, the agent's own" "$(sed -n 2,6p "$dir/reads" | tr '\n' '|')" \
    "AGENTS.md|CLAUDE.md|@AGENTS.md|1|1000 644 regular file|"
is "the bridge ends with its input; an argument is an error" "$(sed -n 7,8p "$dir/reads" | tr '\n' ' ')" "0 2 "
like "it cannot be changed" "$(cat "$dir/reads")" "touch: .*(Permission denied|Read-only file system)"
ash agent run reads >"$dir/reads" 2>/dev/null
is "what the agent removed or changed stays so" "$(sed -n 2,3p "$dir/reads" | tr '\n' '|')" "CLAUDE.md|mine|"
for mode in direct none; do
	install "reads-$mode" 'ls -A; ln -s /etc/passwd AGENTS.new' "trust_level: trusted
home: {mode: $mode}"
	is "with home mode $mode too" "$(ash agent run "reads-$mode" | tr '\n' ' ')" "AGENTS.md CLAUDE.md "
done
is "with home mode none in every session" "$(ash agent run reads-none | tr '\n' ' ')" "AGENTS.md CLAUDE.md "

install quiet 'exit 0'
status "a session sees no process of another" 0 ash agent run quiet

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
is "no path of the host outside is in a mount's source" "$(view 'mount ' | awk '{ print $4 }' | grep -c "^$dir/\(log\|run\|state/store\|state/sched\|state/secrets\)")" 0
is "/dev" "$(view 'dir /dev ' | sort | tr '\n' ' ')" "fd full null ptmx pts random shm stderr stdin stdout tty urandom zero "
is "/" "$(view 'dir / ' | grep -vE '^(bin|sbin|lib|lib32|lib64|libx32)$' | sort | tr '\n' ' ')" \
    "dev etc home proc run skills tmp usr $(echo "$dir" | cut -d/ -f2 | grep -v '^tmp$')"
like "/run/agentd has the mission and the tools" "$(view 'dir /run/agentd ' | sort | tr '\n' ' ')" "mission.json.*tools.json"
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

install quiet 'exit 0'
status "a session sees no process of another" 0 ash agent run quiet

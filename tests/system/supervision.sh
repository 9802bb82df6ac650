#!/bin/bash
# timeout: 240
# agentd: one generation at a time, user ids of one's own, restarts with a pause, safe directories,
# a confined and quiet tree of daemons, socket activation, sd_notify.
# shellcheck disable=SC2016,SC2154
. "$(dirname "$0")/lib.sh"
instance_start ""

pid_in_file() { awk -v role="$1" '$1 == role { print $2 }' "$dir/run/agentd.pids"; }
restarted() { [ -n "$(pid_in_file "$1")" ] && [ "$(pid_in_file "$1")" != "$2" ]; }
status_of() { sed -n "s/^$2:[[:space:]]*//p" "/proc/$1/status" | tr '\t' ' '; }

# --- confinement, as the kernel tells it ----------------------------------------------------------

for role in control schedd secretd; do
	pid=$(pid_in_file $role)
	is "$role: no capability in any set" "$(grep -E '^Cap' "/proc/$pid/status" | cut -f2 | sort -u)" 0000000000000000
	is "$role: no_new_privs and seccomp" "$(status_of "$pid" NoNewPrivs) $(status_of "$pid" Seccomp)" "1 2"
	is "$role: no group but its own" "$(status_of "$pid" Groups)" ""
	check "$role: a private root" fails test "$(stat -Lc %d:%i "/proc/$pid/root")" = "$(stat -c %d:%i /)"
	is "$role: may not dump core" "$(awk '/core file/ { print $5, $6 }' "/proc/$pid/limits")" "0 0"
done
is "each daemon has its user" "$(for r in control schedd secretd; do status_of "$(pid_in_file $r)" Uid; done | tr -s ' ' | cut -d' ' -f1 | tr '\n' ' ')" \
    "$((uid_base + 1)) $((uid_base + 2)) $((uid_base + 3)) "
is "runnerd's environment is empty" "$(tr '\0' '\n' <"/proc/$(pid_in_file runnerd)/environ" | grep -vE '^(JOURNAL_STREAM|ASAN|UBSAN)')" ""
is "secretd holds no file but audit.log" "$(find "/proc/$(pid_in_file secretd)/fd" -type l -printf '%l\n' | grep '^/' | grep -vE '^/dev/null|agentd.l(og|ock)$')" "$dir/log/audit.log"

# --- directories ------------------------------------------------------------------------------------

is "modes" "$(cd "$dir" && stat -c '%n %a %u' run run/sessions run/empty run/agentd.sock state state/store state/sched state/secrets state/homes log log/audit.log)" \
"run 755 0
run/sessions 700 0
run/empty 555 0
run/agentd.sock 660 0
state 755 0
state/store 700 0
state/sched 700 $((uid_base + 2))
state/secrets 700 $((uid_base + 3))
state/homes 711 0
log 750 0
log/audit.log 640 $((uid_base + 3))"
is "the socket is the operators'" "$(stat -c %g "$sock")" $((uid_base + 10))

# --- restarts ------------------------------------------------------------------------------------------

for role in secretd schedd runnerd control; do
	pid=$(pid_in_file $role)
	kill -KILL "$pid"
	check "kill -9 $role: it is started again" eventually 10 restarted $role "$pid"
	check "and ash works" eventually 10 ash ping
done
like "restarts are logged" "$(cat "$dir/agentd.log")" 'schedd \(pid [0-9]+\) killed by SIGKILL'
like "and counted" "$(ash --json status | jq -c '[.daemons[]? | .restarts] | add')" '^[4-9]'
like "and audited" "$(jq -r 'select(.action == "agentd.daemon-restart") | .detail' "$dir/log/audit.log")" 'runnerd'

# --- one generation -----------------------------------------------------------------------------------

status "a second agentd on the same directories: conflict" 5 "$BUILD/agentd" -f "$dir/agentd.yaml"
like "it names the first" "$err" "another agentd \(pid $agentd_pid\) runs on $dir/run"
status "which goes on" 0 ash ping

sed "s,$dir/,$dir/other/,; s,^cgroup:.*,cgroup: auto," "$dir/agentd.yaml" >"$dir/other.yaml"
status "the same user ids in another instance: conflict" 5 "$BUILD/agentd" -f "$dir/other.yaml"
like "it names the other's run_dir" "$err" "session_ids: .*overlaps.*$dir/run uses"
sed -i "s,first: [0-9]*,first: $((session_ids + 63 * 65536))," "$dir/other.yaml"
status "so do ids that overlap in part" 5 "$BUILD/agentd" -f "$dir/other.yaml"
check "nothing of it is left" test ! -e "$dir/other/run/agentd.sock"

# Ids stay claimed while sessions live on, though no daemon of their instance does.
mkdir "$dir/run/sessions/left"
instance_stop
status "the ids of an instance that ended with live sessions" 5 "$BUILD/agentd" -f "$dir/other.yaml"
like "it names the other's run_dir" "$err" "$dir/run uses"
rmdir "$dir/run/sessions/left"
instance_up "the instance starts again with its own ids"

# A daemon that does not end with its agentd is killed by the next one, and by no other means.
# The spawner, which holds the lock too, goes with runnerd.
stuck=$(pid_in_file schedd)
kill -STOP "$stuck" "$(daemon spawner)"
kill -KILL "$agentd_pid"
wait "$agentd_pid" 2>/dev/null
agentd_pid=''
instance_up "agentd starts although a daemon of the last one hangs"
check "which is gone" ended "$stuck"
like "and was named" "$(cat "$dir/agentd.log")" "killed schedd \(pid $stuck\)"
status "ash works" 0 ash ping

# A recorded pid that is another process by now is left alone.
instance_stop
sleep 1000 &
stranger=$!
printf 'agentd %s 1\nschedd %s 1\n' "$stranger" "$stranger" >"$dir/run/agentd.pids"
instance_up "a stale agentd.pids does not keep agentd from starting"
check "a stranger with a recorded pid lives" fails ended "$stranger"
kill "$stranger"
wait "$stranger" 2>/dev/null

# --- the end ----------------------------------------------------------------------------------------------

instance_stop
is "SIGTERM: exits 0" $? 0
check "the socket is gone" test ! -e "$sock"
check "so are the pids" test ! -e "$dir/run/agentd.pids"
check "and the claim on the ids" test ! -e "/run/scarab-runtime-ids/$session_ids-64"

# --- what is refused ------------------------------------------------------------------------------------

refused() { # TEXT STATUS PATTERN: agentd with other.yaml
	status "$1: refused" "$2" "$BUILD/agentd" -f "$dir/other.yaml"
	like "$1: with the reason" "$err" "$3"
}
sed "s,^run_dir:.*,run_dir: $dir/open/run," "$dir/agentd.yaml" >"$dir/other.yaml"
mkdir "$dir/open"
chmod 0777 "$dir/open"
refused "a run_dir in a directory that everybody may write" 4 "$dir/open is writable by everyone"
chmod 0755 "$dir/open"
chown $((uid_base + 9)) "$dir/open"
refused "a run_dir in somebody's directory" 4 "$dir/open belongs to uid"
chown 0 "$dir/open"
ln -s "$dir/state" "$dir/open/run"
refused "a run_dir that is a link" 7 "$dir/open/run is a link"
rm "$dir/open/run"
mkdir "$dir/open/run"
chown $((uid_base + 9)) "$dir/open/run"
refused "a run_dir of somebody else" 5 "$dir/open/run belongs to uid"
rmdir "$dir/open/run"
sed "s,^libexec_dir:.*,libexec_dir: $dir/open," "$dir/agentd.yaml" >"$dir/other.yaml"
refused "a libexec_dir without helpers" 3 "$dir/open/secretd.*"
like "and what to do" "$err" 'libexec_dir'
sed "s,^group:,socket: $dir/agentd.yaml\ngroup:," "$dir/agentd.yaml" >"$dir/other.yaml"
refused "a socket path that is a file" 5 'is no socket'
check "the file is left alone" grep -q run_dir "$dir/agentd.yaml"
sed "s,control: [0-9]*,control: 0," "$dir/agentd.yaml" >"$dir/other.yaml"
refused "a daemon as root" 7 'users.control: must not be root'
sed "s,control: [0-9]*,control: $((uid_base + 2))," "$dir/agentd.yaml" >"$dir/other.yaml"
refused "two daemons with one user" 7 'users.schedd: must not be the same user as users.control'
chmod o+w "$dir/other.yaml"
refused "a configuration that everybody may write" 7 "not root's alone"
chmod o-w "$dir/other.yaml"
status "a missing configuration" 7 "$BUILD/agentd" -f "$dir/nothing.yaml"
status "an unknown option" 2 "$BUILD/agentd" -x
status "a stranger" 4 setpriv --reuid $((uid_base + 9)) --clear-groups "$BUILD/agentd" -f "$dir/agentd.yaml"

# A daemon that cannot live is tried again with growing pauses, and then given up.
mkdir "$dir/broken"
ln -s "$BUILD"/* "$dir/broken/"
rm "$dir/broken/schedd"
cp /bin/false "$dir/broken/schedd"
sed "s,^libexec_dir:.*,libexec_dir: $dir/broken," "$dir/agentd.yaml" >"$dir/other.yaml"
status "a daemon that dies ten times within a minute: agentd gives up" 1 timeout -s KILL $((60 * factor)) "$BUILD/agentd" -f "$dir/other.yaml"
like "and says so" "$err" 'schedd died 10 times within 60 s'
check "nothing of it runs on" eventually 5 no_daemons

# --- socket activation and sd_notify ----------------------------------------------------------------

if [ -x "$BUILD/tests/activate" ]; then
	"$BUILD/tests/activate" "$dir/activated.sock" "$dir/notify" "$BUILD/agentd" -f "$dir/agentd.yaml" >"$dir/activated.log" 2>&1 &
	agentd_pid=$!
	sock=$dir/activated.sock
	check "a socket passed by LISTEN_FDS is served" eventually 20 ash ping
	kill -HUP "$agentd_pid"
	told() { tr '\n' ' ' <"$dir/activated.log" | grep -qE "$1"; }
	check "SIGHUP tells RELOADING=1 with its time, then READY=1" eventually 10 told 'RELOADING=1 MONOTONIC_USEC=[0-9]+ .*READY=1'
	instance_stop
	check "and stays when agentd ends" test -S "$sock"
	check "READY=1 and STOPPING=1 were told" eventually 5 told 'READY=1 .*STOPPING=1'
fi

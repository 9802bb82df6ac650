#!/bin/bash
# timeout: 240
# kill -9 of any daemon, of agentd, and of all at once while a session runs: the session finishes,
# its outcome, log and home are right, ash works again within two seconds, nothing leaks.
# shellcheck disable=SC2016,SC2154
. "$(dirname "$0")/lib.sh"
instance_new
gate_new
printf 'ceilings: {allowed_context: ["%s/gate"]}\n' "$dir" >>"$dir/agentd.yaml"
instance_up "the instance starts"

# Says that it runs, waits until it is let go, and ends with its own status.
install worker "echo started; $gate_wait"'
echo ended; echo $SCARAB_SESSION_ID >>$HOME/done; exit 7' "$gate_context
lifecycle: {timeout_secs: 100}"
install after 'echo after'
install sleeps 'echo up; exec sleep 1000' 'lifecycle: {timeout_secs: 2, stop_grace: 200ms}'
home=$dir/state/homes/worker/home
# A session that ended writes its record; what it changed is committed when a daemon is there.
has_record() { [ -s "$dir/state/sessions/$id/exit" ]; }
keepers_alone() { [ "$(processes | cut -d' ' -f2 | sort -u)" = keeper ]; }

begin() {
	gate_shut
	id=$(ash agent run worker --detach) || fail "a session starts"
	eventually 10 logged started || fail "the session runs"
}
logged() { ash session logs "$id" | grep -q "$1"; }

# finishes TEXT: the session is let go and came to what it should.
finishes() {
	gate_open
	status "$1: wait gives the agent's status" 7 ash session wait "$id"
	is "$1: outcome" "$(ash --json session show "$id" | jq -r '[.state, .outcome, .exit_code] | join(" ")')" "ended failed 7"
	is "$1: log" "$(ash session logs "$id" | tr '\n' ' ')" "started ended "
	is "$1: home" "$(tail -n 1 "$home/done")" "$id"
}

works_again() {
	local began=$EPOCHREALTIME took
	if eventually 10 ash ping && eventually 10 ash session list; then
		took=$(((${EPOCHREALTIME/./} - ${began/./}) / 1000))
		if [ $took -le $((2000 * factor)) ]; then ok "$1: ash works again within 2 s"; else
			fail "$1: ash works again only after $took ms"
		fi
	else
		fail "$1: ash does not work again"
	fi
}

begin
finishes "nothing killed"
eventually 5 test ! -e "$dir/state/sessions/$id"
snapshot_take

for role in schedd secretd runnerd agentd-control spawner; do
	begin
	pid=$(daemon $role) || fail "$role runs"
	kill -KILL "$pid"
	works_again "kill -9 $role"
	finishes "kill -9 $role"
	eventually 10 daemon $role || fail "$role is started again"
	settled_fds "kill -9 $role: nothing leaks"
done

# A new session works after each of them.
is "a new session runs" "$(ash agent run after)" after

begin
kill -KILL "$agentd_pid"
wait "$agentd_pid" 2>/dev/null
agentd_pid=''
gate_open
check "kill -9 agentd: its daemons end" eventually 5 no_daemons
check "kill -9 agentd: the session finishes by itself" eventually 10 has_record
instance_up "agentd starts again"
works_again "kill -9 agentd"
finishes "kill -9 agentd"

begin
mapfile -t pids < <(processes | awk '$2 ~ /^(agentd|agentd-control|schedd|secretd|runnerd|spawner)$/ { print $1 }')
kill -KILL "${pids[@]}"
wait "$agentd_pid" 2>/dev/null
agentd_pid=''
gate_open
check "all killed: the session finishes by itself" eventually 10 has_record
instance_up "all killed: agentd starts again"
works_again "all killed"
finishes "all killed"

# The session still runs when agentd is back: it is adopted, seen and can be cancelled.
begin
kill -KILL "$agentd_pid"
wait "$agentd_pid" 2>/dev/null
agentd_pid=''
instance_up "agentd starts again beside a live session"
is "the live session is known" "$(ash --json session show "$id" | jq -r .state)" running
status "and can be cancelled" 0 ash session cancel "$id"
status "it ends" 125 ash session wait "$id"
is "as cancelled" "$(ash --json session show "$id" | jq -r .outcome)" cancelled
settled_fds "after all of it nothing is left"

# The deadline holds while no daemon lives.
id=$(ash agent run sleeps --detach)
eventually 5 logged up || fail "the session runs"
kill -KILL "$agentd_pid"
wait "$agentd_pid" 2>/dev/null
agentd_pid=''
check "the deadline holds without any daemon" eventually 10 keepers_alone
instance_up "agentd starts again"
status "and knows that it timed out" 124 ash session wait "$id"

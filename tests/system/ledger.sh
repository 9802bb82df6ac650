#!/bin/bash
# timeout: 120
# The ledger of sessions: a full disk, a damaged file, a newer one; the queue across a restart.
# shellcheck disable=SC2016,SC2154
. "$(dirname "$0")/lib.sh"
need_root "a file system of its own for the ledger"
instance_new
gate_new
printf 'ceilings: {allowed_context: ["%s/gate"]}\n' "$dir" >>"$dir/agentd.yaml"
sched=$dir/state/sched
mkdir -p "$sched"
chown "$((uid_base + 2))" "$sched"
chmod 0700 "$sched"
mounted=0
if mount -t tmpfs -o "size=1m,mode=0700,uid=$((uid_base + 2))" scarab-ledger "$sched" 2>/dev/null; then
	mounted=1
fi
# The instance's end removes the directory: what is mounted in it has to go before.
leave() {
	local code=$?
	exec 9>&-
	instance_stop
	[ $mounted -eq 0 ] || umount "$sched"
	mounted=0
	(exit $code)
}
trap 'leave; finish' EXIT
instance_up "the instance starts"
install good 'echo good'
install held "echo started; $gate_wait echo ended" "$gate_context"
status "a session runs" 0 ash agent run good

# --- a full disk ---
if [ $mounted -eq 1 ]; then
	gate_shut
	live=$(ash agent run held --detach)
	eventually 10 eval 'ash session logs "$live" | grep -q started' || fail "a session is live"
	before=$(ash --json session list | jq length)
	dd if=/dev/zero of="$sched/filler" bs=4096 >/dev/null 2>&1
	status "a full disk refuses a run: 125" 125 ash agent run good
	like "the words name the ledger" "$err" 'ledger.*full'
	like "and what to do" "$err" 'make room'
	is "nothing of it is recorded" "$(ash --json session list | jq length)" "$before"
	gate_open
	eventually 10 eval '[ -z "$(cat "$cgroup/$live"/*/cgroup.procs 2>/dev/null)" ]'
	rm "$sched/filler"
	status "the end of a live session waits for room" 0 ash session wait "$live"
	status "with room a session runs again" 0 ash agent run good
else
	skip "a full disk" "no tmpfs can be mounted here"
fi

# --- the queue across a restart ---
gate_shut
first=$(ash agent run held --detach)
eventually 10 eval 'ash session logs "$first" | grep -q started' || fail "the first session is live"
second=$(ash agent run held --detach)
is "a second session of an agent waits" "$(ash --json session show "$second" | jq -r .state)" queued
instance_stop
instance_run || fail "the instance starts again"
is "it waits after a restart" "$(ash --json session show "$second" | jq -r .state)" queued
gate_open
status "the first ends" 0 ash session wait "$first"
gate_shut
echo go >&9
status "the second had its turn" 0 ash session wait "$second"
gate_open
is "no session is lost" success \
    "$(ash --json session list --agent held | jq -r '.[].outcome' | sort -u)"

# --- a ledger that cannot be read ---
instance_stop
cp "$sched/ledger.db" "$dir/ledger.good"
dd if=/dev/urandom of="$sched/ledger.db" bs=4096 seek=2 count=4 conv=notrunc 2>/dev/null
rm -f "$sched/ledger.db-wal"
instance_run >/dev/null && fail "agentd gives up on a damaged ledger"
said=$(grep -a 'schedd: error' "$dir/agentd.log" | tail -n 1)
like "a damaged ledger is named" "$said" "ledger $sched/ledger.db: .*(damaged|malformed)"
like "and what to do" "$said" 'backup'
instance_stop
cat "$dir/ledger.good" >"$sched/ledger.db"
status "with the old file back the instance starts" 0 instance_run
status "and its sessions are there" 0 ash session show "$second"

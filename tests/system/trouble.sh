#!/bin/bash
# The scheduler's disk is full or read-only, its database damaged: it says so, what runs goes on, what
# was acknowledged is there, and with the cause gone it works again by itself.
# shellcheck disable=SC2016,SC2154
# timeout: 180
if [ "${1:-}" != apart ] && [ "$(id -u)" -eq 0 ]; then
	exec unshare -m --propagation private bash "$0" apart
fi
. "$(dirname "$0")/lib.sh"
instance_new
gate_new
printf 'ceilings: {allowed_context: ["%s/gate"]}\n' "$dir" >>"$dir/agentd.yaml"
sched=$dir/state/sched
mkdir -p "$sched"
mount -t tmpfs -o "size=1m,mode=0700,uid=$((uid_base + 2))" none "$sched" || skip "a disk of its own" "no tmpfs can be mounted"
trap 'umount -l "$sched" 2>/dev/null; finish' EXIT
instance_up "the instance starts"
install each 'exit 0' 'home: {mode: none}
concurrency: {queue_limit: 100}
triggers: [{every: 1s}]'
install waits 'echo "$SCARAB_TASK"' 'concurrency: {queue_limit: 100}
triggers: [{event: demo.*, task: "{{event.id}}"}]'
install held "echo started; $gate_wait exit 0" "$gate_context"

sessions() { ash --json session list --agent "$1"; }
scheduled() { sessions each | jq -r '[.[].trigger.scheduled_at] | sort | .[]'; }
ended() { [ "$(sessions "$1" | jq '[.[] | select(.state == "ended" and .outcome == "success")] | length')" -ge "$2" ]; }
ran() { [ "$(sessions waits | jq "[.[] | select(.task == \"$1\" and .outcome == \"success\")] | length")" -eq "$2" ]; }
said() { grep -aqE "$1" <(tail -c "+$marked" "$dir/agentd.log"); }
mark() { marked=$(($(stat -c %s "$dir/agentd.log") + 1)); }
check "time starts it" eventually 20 ended each 2
status "an event is stored" 0 ash event emit demo.before --id before
check "and starts its agent" eventually 20 ran before 1

# --- full -------------------------------------------------------------------------------------
gate_shut
live=$(ash agent run held --detach)
eventually 10 eval 'ash session logs "$live" | grep -q started' || fail "a session is live"
pid=$(daemon schedd)
mark
dd if=/dev/zero of="$sched/filler" bs=4096 >/dev/null 2>&1
status "a full disk stores no event: 1" 1 ash event emit demo.full --id full
like "and says so" "$err" 'ledger .*full'
like "with what to do" "$err" 'make room'
check "what time would have started is said" eventually 20 said 'schedd: error: agent each: firing every-[0-9a-f]+: ledger .*full'
is "the session goes on" "$(ash --json session show "$live" | jq -r .state)" running
last=$(scheduled | tail -n 1)
rm "$sched/filler"
later() { [[ $(scheduled | tail -n 1) > $last ]]; }
check "with room time starts agents again" eventually 20 later
is "and no time came twice" "$(scheduled | uniq -d)" ""
status "the event is stored now" 0 ash event emit demo.full --id full
check "and starts its agent" eventually 20 ran full 1
is "it is the same schedd" "$(daemon schedd)" "$pid"
is "what was acknowledged is there" "$(ash --json event list --type 'demo.*' | jq -c '[.[].id] | sort')" '["before","full"]'

# --- read-only ----------------------------------------------------------------------------------
# While a file is open to be written the kernel makes nothing read-only: it happens beneath a schedd
# that is starting.
mark
read_only() {
	local dying
	dying=$(daemon schedd) || return 1
	kill -KILL "$dying" 2>/dev/null
	while kill -0 "$dying" 2>/dev/null; do :; done # its files are closed then
	mount -o remount,ro "$sched"
}
check "its file system becomes read-only" eventually 20 read_only
check "which is said, with the file" eventually 20 said "schedd: error: .*ledger $sched/ledger.db: .*(read-?only|readonly|unable to open)"
status "a run is refused" 125 ash agent run held
gate_open
mount -o remount,rw "$sched"
status "when it can be written again, what ran meanwhile has its outcome" 0 ash session wait "$live"
last=$(scheduled | tail -n 1)
check "and time starts agents again" eventually 20 later
is "each time once" "$(scheduled | uniq -d)" ""
is "nothing is lost" "$(ash --json event list --type 'demo.*' | jq -c '[.[].id] | sort')" '["before","full"]'

# --- damaged ----------------------------------------------------------------------------------
instance_stop
rm -f "$sched/ledger.db-wal"
cp "$sched/ledger.db" "$dir/good"
# It is not waited until agentd gives up.
start_in_vain() {
	mark
	"$BUILD/agentd" -f "$dir/agentd.yaml" >>"$dir/agentd.log" 2>&1 </dev/null 9>&- &
	agentd_pid=$!
}
damaged() { # TEXT COMMAND…: what agentd says of such a file, which stays as it is
	local text=$1 before
	shift
	cat "$dir/good" >"$sched/ledger.db"
	"$@"
	before=$(cksum <"$sched/ledger.db")
	start_in_vain
	check "$text is refused by its name" eventually 20 said "schedd: error: .*ledger $sched/ledger.db: .*"
	check "with what to do" said '(restore|move).* (from a backup|away)'
	is "and stays as it is" "$(cksum <"$sched/ledger.db")" "$before"
	instance_stop
}
overwrite() { dd if=/dev/urandom of="$sched/ledger.db" bs=4096 seek="$1" count="$2" conv=notrunc 2>/dev/null; }
damaged "a table with other pages" overwrite 2 4
damaged "another file" overwrite 0 1
half=$(($(stat -c %s "$dir/good") / 8192))
damaged "half a file" truncate -s $((half * 4096)) "$sched/ledger.db"
damaged "an empty file" truncate -s 0 "$sched/ledger.db"
mv "$sched/ledger.db" "$dir/empty"
: >"$sched/ledger.db-wal"
start_in_vain
check "a file that is missing beside its -wal is named" eventually 20 said "schedd: error: .*ledger $sched/ledger.db: the file is missing"
instance_stop
rm "$sched/ledger.db-wal"
cat "$dir/good" >"$sched/ledger.db"
chown "$((uid_base + 2))" "$sched/ledger.db"
status "with the file of before it starts" 0 instance_run
is "and has everything" "$(ash --json event list --type 'demo.*' | jq -c '[.[].id] | sort')" '["before","full"]'
instance_stop

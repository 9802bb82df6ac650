#!/bin/bash
# The disk of state_dir or log_dir is full: what cannot begin is refused whole and with the reason,
# what runs keeps its outcome, and everything works again once there is room.
# shellcheck disable=SC2016,SC2154
if [ "${1:-}" != apart ] && [ "$(id -u)" -eq 0 ]; then
	exec unshare -m --propagation private bash "$0" apart
fi
. "$(dirname "$0")/lib.sh"
instance_new
mkdir "$dir/state" "$dir/log"
mount -t tmpfs -o size=3m,mode=755 none "$dir/state" || skip "a disk of its own" "no tmpfs can be mounted"
mount -t tmpfs -o size=1m,mode=755 none "$dir/log"
instance_up "the instance starts"
install worker 'echo hi; sleep 0.5; exit 4'
manifest=$(agent other 'echo other')
fill() { dd if=/dev/zero of="$1/fill" bs=1k count=8192 2>/dev/null; }
outcome() { ash --json session show "$id" | jq -r '[.state, .outcome, .exit_code] | join(" ")'; }
failed4() { [ "$(outcome)" = "ended failed 4" ]; }

fill "$dir/state"
status "a run is refused" 125 ash agent run worker
like "and says what to do" "$err" "full|No space left"
status "an install is refused" 1 ash agent install "$manifest"
like "and says why" "$err" "No space left"
status "an input is refused" 125 ash agent run worker --input "$BUILD/ash"
rm "$dir/state/fill"
status "with room the install works" 0 ash agent install "$manifest"
status "and the run" 0 ash agent run other
no_records() { [ -z "$(ls "$dir/state/sessions")" ]; }
check "nothing half-done stays" eventually 5 no_records

for kill in '' runnerd schedd; do
	id=$(ash agent run worker --detach)
	eventually 5 grep -q hi "$dir/log/worker/$id.jsonl" || fail "the session runs"
	fill "$dir/state"
	[ -z "$kill" ] || kill -KILL "$(daemon $kill)"
	read -r -t 1.5 -u "$silence"
	rm "$dir/state/fill"
	check "full while it runs${kill:+, and kill -9 $kill}: its outcome is right" eventually 10 failed4
done

fill "$dir/log"
status "a full log ends no session" 4 ash agent run worker
id=worker@latest
is "its outcome is right" "$(outcome)" "ended failed 4"
check "what was dropped is counted" test "$(ash --json session show "$id" | jq .log_dropped_bytes)" -gt 0
rm "$dir/log/fill"
is "the log works again" "$(ash agent run worker)" hi
check "nothing of a session is left" eventually 5 no_records
instance_stop
umount "$dir/state" "$dir/log"

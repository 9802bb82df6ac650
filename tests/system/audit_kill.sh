#!/bin/bash
# Entries under way when secretd is killed: none is lost, none is there twice. And a disk that is
# full: entries wait, what cannot be told is refused, and all is written when there is room.
# timeout: 240
# shellcheck disable=SC2016,SC2154
if [ "${1:-}" != apart ] && [ "$(id -u)" -eq 0 ]; then
	exec unshare -m --propagation private bash "$0" apart
fi
. "$(dirname "$0")/lib.sh"
instance_new
mkdir "$dir/log"
mount -t tmpfs -o size=8m,mode=755 none "$dir/log" || { skip "a disk of its own" "no tmpfs can be mounted"; exit 0; }
instance_up "the instance starts"
log=$dir/log/audit.log

# Each process of a daemon counts its entries from 1: every number stands there, once. What a killed
# secretd left of a line is no JSON.
gaps() {
	jq -rR 'fromjson? | select(.generation) | [.role, .generation, .sequence] | @tsv' "$log" | sort -k1,2 -k3,3n |
	    awk '{ key = $1 " " $2; if (key != last) want = 1; if ($3 != want) print; want = $3 + 1; last = key }'
}
removals() { jq -rR 'fromjson? | select(.role == "control" and .action == "agent.remove") | .agent' "$log" | sort; }
at_least() { [ "$(removals | wc -l)" -ge "$1" ]; }
asked() { seq -f "$1%g" "$2" | sort; }
removed() { [ "$(removals)" = "$(asked "$1" "$2")" ]; }
# remove_many PREFIX COUNT: refused each, since there is no such agent, and told each.
remove_many() { seq -f "$1%g" "$2" | xargs -P 4 -n 1 "$BUILD/ash" -s "$sock" agent remove >"$dir/removing" 2>&1; }

remove_many none 400 9>&- &
loader=$!
for kill in 1 2 3; do
	eventually 20 at_least $((kill * 40)) || fail "no entries before kill $kill"
	kill -KILL "$(daemon secretd)" && note "secretd killed, $(removals | wc -l) entries are there"
	eventually 10 daemon secretd || fail "secretd comes back"
done
wait "$loader"
check "secretd killed three times under load: every entry is there, once" eventually 20 removed none 400
is "and of every daemon every entry, once" "$(gaps)" ""
status "in one chain" 0 ash audit verify

# --- a full disk -------------------------------------------------------------------------------------
dd if=/dev/zero of="$dir/log/fill" bs=64k count=1024 2>/dev/null
while printf x >>"$dir/log/fill" 2>/dev/null; do :; done
before=$(wc -c <"$log")
status "with a full disk a refused command is refused as ever" 3 ash agent remove full1
grows() { [ "$(wc -c <"$log")" -gt $((before + 4096)) ]; }
check "the log cannot grow" fails grows
refused() { ash agent remove full 2>&1 | grep -q 'audit log cannot be written'; }
for _ in 1 2 3 4 5 6 7 8; do
	refused && break
	remove_many wait 800
done
check "when too many entries wait, what changes something is refused" refused
status "what changes nothing is not" 0 ash agent list
kill -KILL "$(daemon secretd)"
check "secretd comes back while the disk is full" eventually 10 daemon secretd
rm "$dir/log/fill"
unrefused() { ! refused; }
check "with room commands are taken again" eventually 20 unrefused
no_gaps() { [ -z "$(gaps)" ]; }
check "and no entry is lost, none twice" eventually 20 no_gaps
like "all of them are written" "$(removals | grep -c wait)" '^[0-9]{3,}$'
note "entries that waited: $(removals | grep -c wait)"
status "the chain is whole" 0 ash audit verify
instance_stop
umount "$dir/log"

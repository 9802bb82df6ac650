#!/bin/bash
# A year of the scheduler's real code under a simulated kernel: fires are those of the model, none
# twice and none lost, while schedd is killed at random calls and clocks are set.
# timeout: 300
#
#   YEAR_AGENTS=N  how many agents (200); make year: 1000
#   YEAR_DEATHS=N  how often schedd dies (500); make year: 10000
#   YEAR_SEED=N    another seed is another year (1)
if [ "${1:-}" != apart ] && [ "$(id -u)" -eq 0 ]; then
	exec unshare -m --propagation private bash "$0" apart
fi
. "$(dirname "$0")/lib.sh"

if [ ! -e /usr/share/zoneinfo/Europe/Berlin ]; then
	skip "the year" "no time zones are installed: apt-get install tzdata"
	exit 0
fi
# In memory: what is durable when a process dies does not ask the disk.
ledger=$(mktemp -d "${TMPDIR:-/tmp}/scarab-year.XXXXXX")
mount -t tmpfs none "$ledger" 2>/dev/null || note "the ledger lies on the disk, which takes longer"
trap 'umount "$ledger" 2>/dev/null; rm -rf "$ledger"; finish' EXIT
out=$(python3 "$root/tests/model/year.py" "$BUILD/tests/year_driver" "$ledger" "${YEAR_DEATHS:-500}" \
    "${YEAR_SEED:-1}" 365 "${YEAR_AGENTS:-200}" 2>&1)
agreed=$?
check "the model agrees: $(tail -n 1 <<<"$out")" [ $agreed -eq 0 ]
[ $agreed -eq 0 ] || note "$out"

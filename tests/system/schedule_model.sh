#!/bin/bash
# When a cron expression fires next in a time zone: schedd's answers beside those of a model that
# was written from the rules alone, and beside systemd's where both can express it.
# timeout: 300
#
#   MODEL_CASES=N        how many of the model's cases (20000); make model: 1000000
#   MODEL_EXPRESSIONS=N  how many of systemd's (60)
. "$(dirname "$0")/lib.sh"
driver=$BUILD/tests/cron_driver
models=$root/tests/model

if [ -e /usr/share/zoneinfo/Europe/Berlin ]; then
	out=$(python3 "$models/cron.py" "$driver" "${MODEL_CASES:-20000}" 2>&1)
	agreed=$?
	check "the model agrees: $(tail -n 1 <<<"$out")" [ $agreed -eq 0 ]
	[ $agreed -eq 0 ] || note "$out"
else
	skip "the model" "no time zones are installed: apt-get install tzdata"
fi
if command -v systemd-analyze >/dev/null; then
	out=$(python3 "$models/systemd.py" "$driver" "${MODEL_EXPRESSIONS:-60}" 2>&1)
	agreed=$?
	check "systemd-analyze calendar agrees: $(tail -n 1 <<<"$out")" [ $agreed -eq 0 ]
	[ $agreed -eq 0 ] || note "$out"
else
	skip "systemd-analyze calendar" "it is not installed: apt-get install systemd"
fi

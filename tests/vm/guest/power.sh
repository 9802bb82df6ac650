#!/bin/bash
# power.sh before: sessions that change their homes, one after another, each told on the console when ash
# says that it ended; the power goes in the middle. power.sh after: nothing that was told is lost,
# and nothing is half done.
# shellcheck disable=SC2016,SC2154,SC2317
. "$(dirname "$0")/lib.sh"

if [ "$1" = before ]; then
	# A home's two files are written far apart, and must be equal when it is committed.
	for k in 1 2; do
		agent "writer$k" 'cd; n=$(($(cat first 2>/dev/null || echo 0) + 1)); echo $n >first
		head -c 200000 /dev/urandom >bytes.$n; cksum <bytes.$n >sum.$n; rm -f bytes.$((n - 2)) sum.$((n - 2)); echo $n >last' \
		    'runtime: native'
	done
	for k in 1 2; do
		(while id=$(ash agent run writer$k --detach) && ash session wait "$id"; do
			echo "TOLD writer$k $id $(ash --json session show "$id" | jq -r .outcome)" >/dev/ttyS0
		done) &
	done
	wait
	exit 1 # the power should have gone
fi

up() { [ "$(systemctl is-active agentd)" = active ] && ash ping; }
check "agentd starts after the power loss" eventually 20 up
told=0 lost=0
while read -r name id outcome; do
	told=$((told + 1))
	got=$(ash --json session show "$id" | jq -r .outcome)
	if [ -z "$outcome" ] || [ "$got" != "$outcome" ]; then
		lost=$((lost + 1))
		note "$name $id was told as $outcome and is $got"
	fi
done <told
check "sessions ended before it ($told)" test $told -gt 0
is "no end that was told is lost" $lost 0
for k in 1 2; do
	n=$(grep -c "^writer$k " told)
	agent "writer$k" 'cd; cat first last; for b in bytes.*; do [ "$(cksum <$b)" = "$(cat sum.${b#bytes.})" ] || echo "damaged $b"; done' 'runtime: native'
	said=$(ash agent run "writer$k" 2>&1)
	read -r first last damaged <<<"$(paste -sd' ' <<<"$said")"
	check "writer$k's home has all $n sessions that were told (it has $first)" test "${first:-0}" -ge "$n"
	is "and is that of one end, whole" "$first $damaged" "$last "
done
check "the audit log is whole" ash audit verify
exit $failed

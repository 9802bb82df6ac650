#!/bin/bash
# Metrics: what is counted, that Prometheus' own checker takes it, the file, the socket.
. "$(dirname "$0")/lib.sh"

instance_new
cat >>"$dir/agentd.yaml" <<-YAML
	metrics: {socket: $dir/run/metrics.sock}
YAML
instance_up "an instance with a socket of metrics starts"

# value NAME[{LABELS}]: of one sample, from the newest metrics.
value() { awk -v name="$1" '$1 == name { print $2; exit }' "$dir/metrics"; }
take() { ash metrics >"$dir/metrics"; }
lint() { promtool check metrics <"$1"; }
# Prometheus' own reader of OpenMetrics; it wants a time behind each number.
parsed_openmetrics() {
	rm -rf "$dir/blocks"
	sed -E '/^#/! s/$/ 1700000000/' "$1" >"$dir/timed"
	promtool tsdb create-blocks-from openmetrics "$dir/timed" "$dir/blocks"
}
strict_openmetrics() {
	/usr/bin/python3 -c 'import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read
for family in read(sys.stdin.read()): print(family.name, family.type, family.unit)' <"$1"
}
scrape() { curl -sS --max-time 10 --unix-socket "$dir/run/metrics.sock" "$@"; }

install good 'exit 0'
install bad 'exit 3'
ash agent run good
ash agent run good
ash agent run bad || :
ash event emit test.event --id one >/dev/null
ash event emit test.event --id one >/dev/null

check "metrics are printed" take
is "they end as they should" "$(tail -n 1 "$dir/metrics")" "# EOF"
check "promtool finds nothing to complain of" lint "$dir/metrics"
is "it says nothing" "$(lint "$dir/metrics" 2>&1)" ""
is "sessions by agent and outcome" "$(value 'scarab_sessions_total{agent="good",outcome="success"}')" 2
is "failed ones" "$(value 'scarab_sessions_total{agent="bad",outcome="failed"}')" 1
is "nothing runs" "$(value 'scarab_live_sessions{state="running"}')" 0
is "nothing waits" "$(value scarab_queue_length)" 0
is "an event" "$(value scarab_events_accepted_total)" 1
is "and its repetition" "$(value scarab_events_deduplicated_total)" 1
is "every set-up had its steps" "$(value 'scarab_setup_step_duration_seconds_count{step="image"}')" 3
is "buckets add up" "$(value 'scarab_setup_step_duration_seconds_bucket{step="image",le="+Inf"}')" 3
is "schedd is up" "$(value 'scarab_daemon_up{daemon="schedd"}')" 1
like "its memory" "$(value 'scarab_daemon_resident_memory_bytes{daemon="schedd"}')" '^[1-9][0-9]{5,}$'
like "the ledger has a size" "$(value scarab_ledger_size_bytes)" '^[1-9][0-9]{3,}$'
like "entries of the audit log" "$(value scarab_audit_entries_total)" '^[1-9]'
# Everything that the manual names is there, and the reverse.
named=$(sed -n 's/^\.It Cm \(scarab_[a-z_]*\).*/\1/p' "$root/man/ash-metrics.1" | sort)
told=$(sed -n 's/^# TYPE \([a-z_]*\) .*/\1/p' "$dir/metrics" | sort)
is "the manual has each of them and no other" "$told" "$named"

check "as OpenMetrics" ash metrics --openmetrics
ash metrics --openmetrics >"$dir/open"
check "Prometheus reads them as OpenMetrics" parsed_openmetrics "$dir/open"
check "so does a strict reader" strict_openmetrics "$dir/open"
like "which sees counters and units" "$(strict_openmetrics "$dir/open")" 'scarab_network_sent_bytes counter bytes'
is "as JSON, one object" "$(ash --json metrics | jq -r 'keys[0], (.openmetrics | endswith("# EOF\n"))' | xargs)" "openmetrics true"

check "to a file" ash metrics --textfile "$dir/scarab.prom"
check "which is whole" lint "$dir/scarab.prom"
is "and can be read by all" "$(stat -c %a "$dir/scarab.prom")" 644
is "nothing is left beside it" "$(find "$dir" -maxdepth 1 -name 'scarab.prom*' | wc -l)" 1
status "a folder that is not there is named" 3 ash metrics --textfile "$dir/none/scarab.prom"
like "in the message" "$err" "$dir/none/scarab.prom"

# Sessions are counted by the ledger: a death of schedd takes none away.
kill -KILL "$(daemon schedd)"
eventually 10 ash schedule list
take
is "a killed schedd has lost no session" "$(value 'scarab_sessions_total{agent="good",outcome="success"}')" 2
is "what it counted in memory begins anew" "$(value scarab_events_accepted_total)" 0
is "its restart is counted" "$(value 'scarab_daemon_restarts_total{daemon="schedd"}')" 1

scrape -i http://localhost/metrics >"$dir/head"
like "the socket answers" "$(head -n 1 "$dir/head")" '^HTTP/1.0 200 OK'
like "in the text format" "$(cat "$dir/head")" 'text/plain; version=0.0.4'
scrape http://localhost/metrics >"$dir/scraped"
check "which promtool takes" lint "$dir/scraped"
scrape -H 'Accept: application/openmetrics-text;version=1.0.0' -D "$dir/head" http://localhost/metrics >"$dir/open"
like "OpenMetrics is had by asking" "$(cat "$dir/head")" 'application/openmetrics-text; version=1.0.0'
check "and strict" strict_openmetrics "$dir/open"
like "any other path is none" "$(scrape -i http://localhost/)" '^HTTP/1.0 404'
like "any other method, too" "$(scrape -i -X POST http://localhost/metrics)" '^HTTP/1.0 405'
like "garbage" "$(scrape -i -X "BAD METHOD" http://localhost/metrics)" "^HTTP/1.0 40[05]"
like "too much" "$(scrape -i -H "X: $(head -c 6000 /dev/zero | tr '\0' x)" http://localhost/metrics)" '^HTTP/1.0 431'
is "its mode is the operator socket's" "$(stat -c '%a %g' "$dir/run/metrics.sock")" "660 $((uid_base + 10))"

# Who connects and says nothing keeps nobody out, and is dropped.
python3 - "$dir/run/metrics.sock" >"$dir/slow" <<-'PY'
	import socket, sys
	held = []
	for i in range(7):
	    s = socket.socket(socket.AF_UNIX)
	    s.connect(sys.argv[1])
	    s.sendall(b"GET /metr")
	    held.append(s)
	last = socket.socket(socket.AF_UNIX)
	last.connect(sys.argv[1])
	last.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
	answer = b""
	while chunk := last.recv(65536):
	    answer += chunk
	print(answer.split(b"\r\n")[0].decode())
	print(sum(s.recv(1) == b"" for s in held))
PY
is "beside seven slow ones another is served, and they are dropped" "$(xargs <"$dir/slow")" "HTTP/1.0 200 OK 7"

instance_stop
check "the socket goes with the instance" fails test -e "$dir/run/metrics.sock"

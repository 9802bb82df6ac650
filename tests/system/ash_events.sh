#!/bin/bash
# ash events: what happens is pushed, in order, to whoever reads; who reads slowly is told what he
# missed and holds nobody up; a control process that dies or stops is noticed.
# timeout: 240
# shellcheck disable=SC2154
. "$(dirname "$0")/lib.sh"
need_root "events"
instance_start ""

stream_pid=''
stream() { # OPTION…: ash events into $dir/stream
	: >"$dir/stream"
	"$BUILD/ash" -s "$sock" --json events "$@" >"$dir/stream" 2>"$dir/stream.err" </dev/null 9>&- &
	stream_pid=$!
}
unstream() {
	[ -z "$stream_pid" ] || kill "$stream_pid" 2>/dev/null
	wait "$stream_pid" 2>/dev/null
	stream_pid=''
}
trap 'unstream; finish' EXIT
kinds() { jq -r .kind "$dir/stream" 2>/dev/null; }
told() { jq -se --arg kind "$1" "map(select(.kind == \$kind)) | map(select(${2:-true})) | length > 0" "$dir/stream" >/dev/null; }
listening() { [ "$(ash --json status | jq .watchers)" = "${1:-1}" ]; }

# --- one line for each thing -------------------------------------------------------------------------
stream
check "control knows who watches" eventually 10 listening
install probe 'echo hello; exit 3' 'triggers: [{event: test.ping}]
budget: {failures_before_pause: 2}'
check "an installed agent is told" eventually 10 told agent.installed '.agent == "probe" and .reason == "1.0.0"'
ash agent run probe >/dev/null 2>&1
check "the end of a session" eventually 10 told session.ended '.outcome == "failed" and .exit_code == 3 and .agent == "probe"'
id=$(latest probe .id)
is "is told after its steps, in their order" "$(jq -r --arg id "$id" 'select(.session == $id) | .kind' "$dir/stream" | uniq | tr '\n' ' ')" \
    "session.setup session.running session.ended "
ash event emit test.ping --id one --source /test >/dev/null
check "an event" eventually 10 told event.emitted '.event == {type: "test.ping", source: "/test", id: "one"} and .by == "root"'
check "its delivery" eventually 10 told event.delivered '.event.id == "one"'
check "what it fired" eventually 10 told trigger.fired '.agent == "probe" and .trigger.kind == "event" and .session != null'
check "a pause of the breaker" eventually 10 told agent.paused '.agent == "probe" and (.reason | test("2 times in a row"))'
ash agent resume probe >/dev/null
check "an operator's resume" eventually 10 told agent.resumed '.agent == "probe"'
is "every line has every key" "$(jq -c keys_unsorted "$dir/stream" | sort -u | wc -l)" 1
is "times are RFC 3339 in UTC" "$(jq -r .time "$dir/stream" | grep -vcE '^20[0-9-]{8}T[0-9:]{8}\.[0-9]{3}Z$')" 0

# --- daemons ------------------------------------------------------------------------------------------
kill -KILL "$(daemon schedd)"
check "a daemon's end" eventually 20 told daemon.ended '.daemon == "schedd" and (.reason | test("SIGKILL"))'
check "and its return" eventually 20 told daemon.started '.daemon == "schedd" and .pid > 1'
before=$(daemon agentd-control)
kill -KILL "$before"
check "the loss of control itself" eventually 20 told stream.lost
check "and that it goes on" eventually 20 told stream.resumed
ash agent remove probe >/dev/null
check "with what happens then" eventually 10 told agent.removed '.agent == "probe"'
unstream

# --- filters, for people -----------------------------------------------------------------------------
install one 'exit 0'
install two 'exit 0'
stream --agent two --kind 'session.*'
check "a filtered stream" eventually 10 listening
ash agent run one >/dev/null
ash agent run two >/dev/null
check "tells the end" eventually 10 told session.ended
is "of the one agent alone" "$(jq -r .agent "$dir/stream" | sort -u)" two
is "and of kinds that match" "$(kinds | grep -vc '^session\.')" 0
unstream
"$BUILD/ash" -s "$sock" events >"$dir/stream" 2>"$dir/stream.err" </dev/null 9>&- &
stream_pid=$!
check "a stream for people" eventually 10 listening
ash agent run two >/dev/null
check "has lines" eventually 10 grep -q 'session.ended' "$dir/stream"
like "that read well" "$(grep session.ended "$dir/stream")" '^20[0-9-]{8} [0-9:]{8}  session.ended    two [0-9a-f-]{13} ended with success$'
unstream
status "an agent's name that is none" 3 ash events --agent 'No/Name'

# --- who does not read -------------------------------------------------------------------------------
stream
check "a reader" eventually 10 listening
kill -STOP "$stream_pid"
for ((i = 0; i < 40; i++)); do
	for ((j = 0; j < 25; j++)); do
		"$BUILD/ash" -s "$sock" event emit flood --id "f$i-$j" --source /flood >/dev/null 2>&1 &
		emitters[j]=$!
	done
	wait "${emitters[@]}"
done
status "others are served meanwhile" 0 timeout 10 "$BUILD/ash" -s "$sock" ping
kill -CONT "$stream_pid"
check "he is told how many he missed" eventually 20 told missed '.missed > 0'
events=$(jq -r 'select(.kind | startswith("event.")) | .kind' "$dir/stream" | wc -l)
missed=$(jq -s 'map(.missed // 0) | add' "$dir/stream")
is "none is lost uncounted" "$((events + missed))" 1000
unstream
check "nobody watches any more" eventually 10 listening 0

# --- a peer that is stopped ---------------------------------------------------------------------------
control=$(daemon agentd-control)
stream
check "a reader of a control process" eventually 10 listening
kill -STOP "$control"
check "that stops hears of it" eventually 40 told stream.lost '.reason | test("agentd-control")'
code=0
wait "$stream_pid" || code=$?
stream_pid=''
is "and gives up with 6" "$code" 6
like "saying why and what to do" "$(<"$dir/stream.err")" 'agentd-control.*"hint":".*restart'
kill -CONT "$control"
check "which goes on as before" eventually 20 ash ping

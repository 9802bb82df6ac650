#!/bin/bash
# timeout: 120
# Events by operators: stored before they are acknowledged, once for each source and id, found again
# after a restart and a crash, refused with the place of what is wrong.
# shellcheck disable=SC2154
. "$(dirname "$0")/lib.sh"
instance_new
instance_up "the instance starts"

emit() { ash event emit "$@"; }
count() { ash --json event list | jq length; }

status "an event is told" 0 emit demo.first --source /demo --id one --data '{"n": 1, "big": 9007199254740993}'
is "what is said is its id" "$out" one
status "the same again is no error" 0 emit demo.first --source /demo --id one --data '{"n": 1, "big": 9007199254740993}'
like "and says what it is" "$out" 'told before'
is "it is there once" "$(count)" 1
is "with --json it says so" "$(ash --json event emit demo.first --source /demo --id one --data '{"n": 1, "big": 9007199254740993}' | jq -c '[.id, .source, .type, .repeated, .replay]')" \
    '["one","/demo","demo.first",true,0]'
status "another content by the same name is a conflict" 5 emit demo.first --source /demo --id one --data '{"n": 2}'
like "which is explained" "$err" 'told before, with another content'
status "another source may use the id" 0 emit demo.first --source /other --id one
is "an id of its own where none is named" "$(emit demo.second | wc -c)" 37
is "the source is then the operator" "$(ash --json event list --type 'demo.s*' | jq -r '.[0].source')" "/operators/$(id -u)"
status "data from standard input" 0 eval 'echo "[1, 2]" | emit demo.in --id in --data -'
printf '{"from": "file"}' >"$dir/data.json"
status "and from a file" 0 emit demo.file --id file --subject s --data "@$dir/data.json"

# --- show ---
status "an ambiguous id is refused" 5 ash event show one
like "with the way out" "$err" '--source'
is "numbers are shown as they came" "$(ash --json event show one --source /demo | grep -o '"big": 9007199254740993')" '"big": 9007199254740993'
is "a CloudEvent by its attributes" \
    "$(ash --json event show file | jq -c '[.specversion, .id, .type, .subject, .datacontenttype, .data]')" \
    '["1.0","file","demo.file","s","application/json",{"from":"file"}]'
is "repeats are counted" "$(ash --json event show one --source /demo | jq .repeats)" 3
is "one without data" "$(ash --json event show one --source /other | jq -c '[.datacontenttype, .data, .data_bytes]')" '[null,null,0]'
like "for people too" "$(ash event show file)" '"from": "file"'
status "none of this id: 3" 3 ash event show nothing
status "a list for people" 0 ash event list --since 1h -n 2
is "with as many as asked for" "$(wc -l <<<"$out")" 3

# --- replay ---
status "a replay" 0 ash event replay file
like "has a number" "$out" 'replay 1'
is "and another" "$(ash --json event replay file | jq .replay)" 2
is "they are rows of their own" "$(ash --json event list | jq -c '[.[] | select(.id == "file").replay]')" '[2,1,0]'

# --- refused ---
before=$(count)
status "no JSON" 2 emit demo.bad --data '{"a": 1,
 "b": }'
like "with line and column" "$err" 'line 2, column 7'
status "two values" 2 emit demo.bad --data '1 2'
status "no UTF-8" 2 emit demo.bad --data $'"\xff"'
status "nested too deep" 2 emit demo.bad --data "$(printf '[%.0s' {1..100})$(printf ']%.0s' {1..100})"
head -c 1100000 /dev/zero | tr '\0' ' ' >"$dir/large.json"
status "too large" 2 emit demo.bad --data "@$dir/large.json"
like "which is said" "$err" 'larger than 1048576 bytes'
status "a type with spaces" 2 emit 'demo bad'
status "a pattern is no type" 2 emit 'demo.*'
status "an empty id" 2 emit demo.bad --id ''
status "a file that is not there" 3 emit demo.bad --data "@$dir/missing.json"
is "nothing of these is kept" "$(count)" "$before"

# --- told to the audit log ---
like "an event is in the audit log" "$(ash --json audit | jq -c '.[] | select(.action == "event.emit" and .allowed) | .detail')" 'demo.first, id one of /demo'
like "and what was refused" "$(ash --json audit | jq -c '.[] | select(.action == "event.emit" and (.allowed | not)) | .detail')" 'not JSON'

# --- kept ---
kill -KILL "$(daemon schedd)"
status "schedd's death loses nothing: the event is still known" 0 emit demo.first --source /demo --id one --data '{"n": 1, "big": 9007199254740993}'
like "as told before" "$out" 'told before'
is "and all others" "$(count)" "$before"
instance_stop
instance_run || fail "the instance starts again"
is "a restart loses nothing" "$(count)" "$before"
tells() { emit demo.many --id "many-$1" --data "$1" >/dev/null; }
told=()
for i in $(seq 40); do
	tells "$i" &
	told+=($!)
	[ "$i" != 20 ] || kill -KILL "$(daemon schedd)"
done
wait "${told[@]}"
is "what was acknowledged while schedd was killed is there, once each" \
    "$(ash --json event list --type demo.many | jq -c '[length, ([.[].id] | unique | length)]')" '[40,40]'

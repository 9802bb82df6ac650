#!/bin/bash
# timeout: 240
# Output as JSON lines: text, binary, partial lines, standard error, following, rotation, a flood.
# shellcheck disable=SC2016,SC2154
. "$(dirname "$0")/lib.sh"
instance_new
gate_new
printf 'ceilings: {allowed_context: ["%s/gate"]}\n' "$dir" >>"$dir/agentd.yaml"
instance_up "the instance starts"

install talks 'echo one; echo two >&2; printf "\377\376bin\n"; printf "no newline"'
ash agent run talks >"$dir/out" 2>"$dir/err"
id=$(latest talks .id)
file=$dir/log/talks/$id.jsonl
check "the log is AGENT/SESSION.jsonl" test -s "$file"
is "every line is one JSON object" "$(jq -c type "$file" | sort -u)" '"object"'
is "each has time and stream" "$(jq -r 'select((has("time") and has("stream")) | not)' "$file")" ""
is "text by stream" "$(jq -r 'select(.text) | .stream + ":" + .text' "$file" | sort | tr '\n' ' ')" \
    "stderr:two stdout:no newline stdout:one "
is "output that is not UTF-8 is base64" "$(jq -r 'select(.bytes) | .bytes' "$file" | base64 -d | od -An -tx1 | tr -d ' \n')" fffe62696e
is "a line without its newline says so" "$(jq -r 'select(.partial) | .text' "$file")" "no newline"
is "times are RFC 3339 with milliseconds" "$(jq -r .time "$file" | grep -cvE '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{3}Z$')" 0
printf 'one\n\377\376bin\nno newline' >"$dir/want"
check "run prints the bytes as they were" cmp "$dir/out" "$dir/want"
is "session logs --json is the log" "$(ash --json session logs "$id" | cksum)" "$(cksum <"$file")"
is "only root and the group read logs" "$(stat -c '%a %u %g' "$dir/log")" "750 0 $((uid_base + 10))"

install follows "echo first; $gate_wait echo last" "$gate_context"
gate_shut
id=$(ash agent run follows --detach)
ash session logs -f "$id" >"$dir/followed" 2>&1 9>&- &
follower=$!
check "logs -f shows what is there while the session runs" eventually 10 grep -q first "$dir/followed"
gate_open
check "it ends with the session" eventually 10 ended $follower
wait $follower
is "and shows everything" "$(tr '\n' ' ' <"$dir/followed")" "first last "

# 60 MiB: two segments of 16 MiB are kept, the rest is dropped or rotated away, and counted.
install floods 'head -c 62914560 /dev/zero | tr "\0" "x" | fold -w 1000; echo; echo the end'
status "an agent that floods its output ends by itself" 0 ash agent run floods --detach
status "and is waited for" 0 ash session wait floods@latest
kept=$(du -cb "$dir"/log/floods/* | tail -n 1 | cut -f1)
if [ "$kept" -le $((2 * (16 * 1024 * 1024 + 65536))) ]; then ok "its log is bounded ($kept bytes)"; else
	fail "its log has $kept bytes"
fi
is "whole lines are kept" "$(cat "$dir"/log/floods/* | jq -c type | sort -u)" '"object"'
install long 'head -c 100000 /dev/zero | tr "\0" "y"; echo'
ash agent run long >"$dir/out"
is "a long line comes back whole" "$(wc -c <"$dir/out")" 100001
is "it is kept in pieces of at most 16 KiB" "$(jq '.text | length' "$dir"/log/long/*.jsonl | sort -n | tail -n 1)" 16384
install silent 'exec >/dev/null 2>&1; sleep 0'
is "no output, an empty log" "$(ash agent run silent)" ""

#!/bin/bash
# A thousand connections of one session at once, in bounded memory, and a clear word to the one that
# is too many. All of it is in a network namespace of the test's own.
# timeout: 120
# shellcheck source=tests/netns.sh
. "$(dirname "$0")/../netns.sh" "a thousand connections" "$@"

# Two descriptors for each connection, and some for all else: enough for a thousand, not for two.
files=4000
ulimit -n $files || {
	skip "a thousand connections" "no $files descriptors for a process on this host"
	exit 0
}
mkdir "$work/tools"
cp "$BUILD/tests/netload" "$work/tools"
chmod -R a+rX "$work"
# serve ARGUMENT…: a server of netload's.
serve() {
	local answer
	mkfifo "$work/ready"
	"$work/tools/netload" "$@" >"$work/ready" &
	servers+=($!)
	read -r -t $((20 * factor)) answer <"$work/ready" || answer=
	rm "$work/ready"
	is "netload $1" "$answer" ready
}
serve serve $web 7000
serve names $web

instance_start "ceilings: {trust_level: trusted, allowed_context: [$work/tools]}"
spec="network: {policy: allowlist, allowlist: ['web.example:7000']}
context: [{source: $work/tools, target: /context/test}]
resources: {max_open_files: 3000}"
# holder COUNT: an agent that opens so many, says how it went, and holds them until it is cancelled.
# shellcheck disable=SC2016
holder() {
	install holder 'mkfifo /tmp/hold
exec /context/test/netload hold $(getent ahostsv4 web.example | head -n 1 | cut -d" " -f1) 7000 '"$1"' <>/tmp/hold' "$spec"
	session=$(ash agent run holder --detach)
}
said() { ash session logs "$session" | grep -m 1 open; }

holder 1000
check "a thousand connections are there" eventually 60 said
is "each of which carries bytes while all others are open" "$(said)" '{"open":1000,"lost":0}'
egress=$(daemon egress)
held=$(find "/proc/$egress/fd" -mindepth 1 | wc -l)
check "in two descriptors each" [ "$held" -ge 2000 -a "$held" -lt 2100 ]
rss=$(awk '/^VmHWM:/ { print $2 }' "/proc/$egress/status")
note "the egress process with 1000 connections: $rss KiB at its most"
check "and less than 16 KiB of memory each" [ "$rss" -gt 0 -a "$rss" -lt 16000 ]
ash session cancel "$session" >/dev/null
has_ended() { [ "$(latest holder .state)" = ended ]; }
check "it ends" eventually 20 has_ended

holder 2000
check "an agent opens more than it may have" eventually 60 said
most=$(said | jq .open)
check "it gets as many as there may be: $most" [ "$most" -ge 1000 -a "$most" -lt 2000 ]
is "none of which is lost" "$(said | jq .lost)" 0
like "the next one is refused" "$(ash session logs "$session" 2>&1)" "after $most: Connection reset by peer"
like "which its operator is told" "$(ash session why "$session")" "Denied: +a connection: $most connections are open, which is the most"
ash session cancel "$session" >/dev/null
check "it ends, too" eventually 20 has_ended
check "and no egress process is left" fails daemon egress

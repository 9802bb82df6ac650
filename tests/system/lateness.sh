#!/bin/bash
# Many agents on every second, each with a delay of its own, at a real schedd: none is lost, none
# comes twice. How late they are is told, and is no result of a test.
# shellcheck disable=SC2016
# timeout: 300
#
#   LATENESS_AGENTS=N   how many agents (200); make lateness: 1000
#   LATENESS_SECONDS=N  for how long (5); make lateness: 120
. "$(dirname "$0")/lib.sh"
need_root "a schedd of its own"

choose_ids
dir=$(mktemp -d "${TMPDIR:-/tmp}/scarab-lateness.XXXXXX")
chmod 0755 "$dir"
# Of the real-time class where that may be had, so that neighbours do not count.
realtime=(chrt -r 1)
"${realtime[@]}" true 2>/dev/null || realtime=()
run() { "${realtime[@]}" "$BUILD/tests/lateness_driver" "$BUILD" "$1" "${LATENESS_AGENTS:-200}" "${LATENESS_SECONDS:-5}"; }
once() { # TEXT DIRECTORY
	status "$1: a fire for each agent and second" 0 run "$2"
	is "$1: $(jq -r '"of \(.fires) fires, late by \(.p50_us) us (p50) and \(.p99_us) (p99), durable after \(.durable_p50_us) and \(.durable_p99_us)"' <<<"$out"), none is lost and none came twice" \
	    "$(jq -c '[.lost, .doubled]' <<<"$out")" '[0,0]'
}
mkdir "$dir/disk"
once "on the disk" "$dir/disk"
# Where the disk itself does not count.
if mkdir "$dir/memory" && unshare -m true 2>/dev/null; then
	inside() { unshare -m --propagation private sh -c 'mount -t tmpfs -o mode=755 none "$0" && exec "$@"' "$dir/memory" "$@"; }
	realtime=(inside "${realtime[@]}")
	once "in memory" "$dir/memory"
fi

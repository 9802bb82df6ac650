#!/bin/bash
# The demo runs to its end and leaves nothing behind. Nothing on this machine is reinstalled here.
. "$(dirname "$0")/lib.sh"
need_root "the demo"
if [ ! -r /var/log/dpkg.log ]; then
	skip "the demo" "this machine has no /var/log/dpkg.log"
	exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"; [ "$failed" -eq 0 ] || exit 1' EXIT
mounts=$(wc -l </proc/self/mountinfo)
if DEMO_UNCHANGED=1 TMPDIR=$work "$root/examples/demo" "$BUILD" >"$work/said" 2>&1 </dev/null; then
	ok "the demo succeeds"
else
	fail "the demo fails"
	tail -n 30 "$work/said" | sed 's/^/# /'
fi
like "the first session is the first" "$(cat "$work/said")" 'Session 1, my first'
like "the second remembers it" "$(cat "$work/said")" 'Session 2. The last one was at'
is "nothing is left in the temporary directory" "$(ls "$work")" said
is "no cgroup is left" "$(find "$(cgroup_mount)" -maxdepth 3 -name 'scarab-demo.*')" ""
is "no mount is left" "$(wc -l </proc/self/mountinfo)" "$mounts"

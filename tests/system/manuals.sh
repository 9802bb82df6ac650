#!/bin/bash
# The man pages and the programs are of one mind: commands, options, keys, variables, statuses, words.
# Every manifest that a manual shows is valid.
set -u
: "${BUILD:?run it with tests/run, or set BUILD to the build folder}"
cd "$(dirname "$0")/../.." || exit 1
work=$(mktemp -d "${TMPDIR:-/tmp}/manuals.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
failed=0
/usr/bin/python3 tests/manuals.py "$BUILD/ash" "$BUILD/tests/schema_driver" || failed=1

# Each literal block that is a whole manifest, as the reader sees it.
for page in man/*.[1-8]; do
	mandoc -Tascii -O width=200 "$page" | col -bx | awk -v to="$work/${page##*/}" '
		/^ *apiVersion: / { n++; match($0, /^ */); indent = RLENGTH; on = 1 }
		on { match($0, /^ */); if (NF && RLENGTH < indent) { on = 0; next }
		     print substr($0, indent + 1) > (to "." n ".yaml") }'
done
shopt -s nullglob
for manifest in "$work"/*.yaml; do
	if said=$("$BUILD/ash" agent validate "$manifest" 2>&1); then
		echo "ok - the manifest $(basename "$manifest" .yaml) is valid"
	else
		echo "FAIL - the manifest $(basename "$manifest" .yaml) is valid"
		printf '# %s\n' "$said"
		failed=1
	fi
done
after=$(grep -lE '^ *(- )?\{?after: ' "$work"/agent-manifest.5.*.yaml | wc -l)
if [ "$after" -ge 1 ]; then echo "ok - one of them starts after another has failed"; else
	echo "FAIL - one of them starts after another has failed"
	failed=1
fi
exit $failed

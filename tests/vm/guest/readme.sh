#!/bin/bash
# README's block of five commands, as it stands there, on a terminal: each says what to do next, and an
# agent with a tool, a secret and a time to start at has run.
# shellcheck disable=SC2016,SC2154,SC2317
. "$(dirname "$0")/lib.sh"

# The blocks below the heading "Installing it as a service": the first installs the package, the
# second is what a new user types.
block() {
	awk -v want="$1" '/^## / { at = /^## Installing it as a service/; n = 0 }
		at && /^```/ { inside = !inside; n += inside; next } at && inside && n == want' README.md
}
block 1 | grep -q '^apt-get install ./scarab-runtime_' || fail "README begins with the package"
mapfile -t commands < <(block 2)
is "README needs five commands" "${#commands[@]}" 5
for i in "${!commands[@]}"; do
	TERM=xterm script -qec "${commands[i]}" /dev/null >/var/results/said 2>&1 </dev/null
	is "${commands[i]}" $? 0
	sed 's/^/# /' /var/results/said
	[ "$i" -eq 4 ] || like "which says what to do next" "$(tr -d '\r' </var/results/said)" '  next: ash '
done
like "it is scheduled" "$(cat /var/results/said)" '09:00|0 9 \* \* mon-fri'
is "its session ended with success" "$(latest notary .outcome)" success
result=$(latest notary .result)
like "the tool answered" "$result" 'files in .* directories'
signed=$(ash --json session show notary@latest | jq -r '.result | (if type == "string" then fromjson else . end) | .signature')
like "the secret signed it" "$signed" '^[0-9a-f]{64}$'
exit $failed

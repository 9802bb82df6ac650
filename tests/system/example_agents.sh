#!/bin/bash
# The example agents in C, Rust and Python with the example plugin: the same result from each.
# shellcheck disable=SC2154
. "$(dirname "$0")/lib.sh"
work=$(mktemp -d "${TMPDIR:-/tmp}/scarab-agents.XXXXXX")
relay=''
end_relay() {
	[ -z "$relay" ] || kill "$relay"
	[ -z "$relay" ] || wait "$relay"
	relay=''
} 2>/dev/null
trap 'end_relay; rm -rf "$work"; finish' EXIT
export PYTHONPATH=$root/libagent/python PYTHONDONTWRITEBYTECODE=1
mkdir -p "$work/tree/below"
printf 12345 >"$work/tree/a.txt"
for i in {1..1100}; do : >"$work/tree/below/$i"; done

# relay MISSION
relay() {
	rm -f "$work/sock"
	python3 "$root/tests/libagent/relay.py" "$work/sock" "$work/notes" "$1" survey \
	    "$root/examples/plugins/survey/survey" "$work/tree" 2>"$work/relay.err" &
	relay=$!
	eventually 20 test -S "$work/sock" || fail "the relay starts: $(cat "$work/relay.err")"
}
# agent LANGUAGE COMMAND…
agent() {
	local language=$1
	shift
	relay "{\"task\":\"$work/tree\",\"previous\":{\"session\":\"before\"}}"
	is "$language: prints the summary" "$(SCARAB_SOCKET=$work/sock "$@" 2>"$work/err")" \
	    "$work/tree: 1101 files in 1 directories, 5 bytes"
	is "$language: plans, acts, observes" "$(jq -r 'select(.tool == "transition") | .state' "$work/notes" | tr '\n' ' ')" "plan act observe "
	is "$language: stores what it found" \
	    "$(jq -c 'select(.tool == "result") | .result | [.path, .previous, .summary.files, .summary.bytes]' "$work/notes")" \
	    "[\"$work/tree\",\"before\",1101,5]"
	is "$language: observes the same" "$(jq -c 'select(.tool == "observe") | .data.files' "$work/notes")" 1101
	like "$language: logs its progress" "$(cat "$work/err")" '^info: [0-9]+ files: 1000 of it seen'
	end_relay
	relay '{"task":"/etc"}'
	SCARAB_SOCKET=$work/sock "$@" >"$work/out" 2>"$work/err"
	is "$language: fails when the tool does" "$?" 1
	like "$language: with the tool's words" "$(cat "$work/err")" "^error: .*/etc is not below $work/tree"
	is "$language: and stores nothing" "$(jq -c 'select(.tool == "result")' "$work/notes")" ""
	end_relay
	SCARAB_SOCKET=$work/none "$@" >"$work/out" 2>"$work/err"
	is "$language: fails where there is no runtime" "$? $(grep -c '^error: unreachable: cannot connect' "$work/err")" "1 1"
}
agent C "$BUILD/examples/digest-c/digest"
agent Python "$root/examples/agents/digest-python/digest"
if command -v cargo >/dev/null; then
	check "Rust: the agent builds offline" env CARGO_TARGET_DIR="$BUILD/rust" \
	    cargo build --release --offline --locked -q --manifest-path "$root/examples/agents/digest-rust/Cargo.toml"
	agent Rust "$BUILD/rust/release/digest"
else
	skip "Rust" "cargo is not installed"
fi
for language in c rust python; do
	like "the manifest of digest-$language is sound" \
	    "$("$BUILD/ash" agent validate "$root/examples/agents/digest-$language/manifest.yaml" 2>&1)" 'manifest.yaml: ok'
done

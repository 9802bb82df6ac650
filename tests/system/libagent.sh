#!/bin/bash
# libagent in C, Rust and Python: the same steps against the same server, with the same outcome and the
# same bytes on the wire; where no runtime is, and where it speaks what nobody knows.
# timeout: 300
# shellcheck disable=SC2154
. "$(dirname "$0")/lib.sh"
work=$(mktemp -d "${TMPDIR:-/tmp}/scarab-libagent.XXXXXX")
server=''
end_server() {
	[ -z "$server" ] || kill "$server"
	[ -z "$server" ] || wait "$server"
	server=''
} 2>/dev/null
trap 'end_server; rm -rf "$work"; finish' EXIT
here=$root/tests/libagent
export PYTHONPATH=$root/libagent/python PYTHONDONTWRITEBYTECODE=1 RELEASE=$work/release

# serve [ENVIRONMENT…]: a new server at $work/sock.
serve() {
	rm -f "$work/sock"
	env "$@" python3 "$here/fake_server.py" "$work/sock" "$work/transcript" 2>"$work/server.err" &
	server=$!
	eventually 20 test -S "$work/sock" || fail "the server starts: $(cat "$work/server.err")"
}
all_gone() { [ "$(grep -c '^--- connected' "$work/transcript")" = "$(grep -c '^--- gone' "$work/transcript")" ]; }
# same TEXT FILE WANT
same() {
	if cmp -s "$2" "$3"; then ok "$1"; else
		fail "$1"
		diff "$2" "$3" | head -n 20 | sed 's/^/# /'
	fi
}
# steps LANGUAGE COMMAND…
steps() {
	local language=$1
	shift
	serve
	if ! SCARAB_SOCKET=$work/sock timeout $((60 * factor)) "$@" <"$here/steps.txt" >"$work/out" 2>"$work/err"; then
		fail "$language: the driver ends: $(tail -n 3 "$work/err")"
	fi
	eventually 20 all_gone || fail "$language: its connections end"
	end_server
	same "$language: what came of each step" "$work/out" "$here/steps.expected"
	same "$language: byte for byte what the runtime got" "$work/transcript" "$here/steps.transcript"
	is "$language: log writes whole lines to standard error" "$(cat "$work/err")" \
	    $'info: one line\nwarning: two\nwarning: lines'
	is "$language: without a runtime it is unreachable" \
	    "$(printf 'connect\n' | SCARAB_SOCKET=$work/none "$@" 2>&1 | tail -n 1)" "error unreachable"
	is "$language: without SCARAB_SOCKET too, and does not end" \
	    "$(printf 'connect\nlog\tinfo\tstill here\n' | env -u SCARAB_SOCKET "$@" 2>&1 | grep -v '^>' | tr '\n' ' ')" \
	    "error unreachable info: still here "
	serve FAKE_REVISION=1999-12-31
	is "$language: a revision that it does not know is refused" \
	    "$(printf 'connect\n' | SCARAB_SOCKET=$work/sock "$@" 2>&1 | tail -n 1)" "error protocol"
	end_server
	serve FAKE_REVISION=2024-11-05
	is "$language: an older one is not" \
	    "$(printf 'connect\n' | SCARAB_SOCKET=$work/sock "$@" 2>&1 | tail -n 1)" "ok"
	end_server
}

steps C "$BUILD/tests/agent-driver"
steps Python python3 "$here/driver.py"
if command -v cargo >/dev/null; then
	# Without the network: what is not in the crate itself is not needed.
	if CARGO_TARGET_DIR=$BUILD/rust cargo test --release --offline -q --manifest-path "$root/libagent/rust/Cargo.toml" >"$work/cargo" 2>&1 &&
	    CARGO_TARGET_DIR=$BUILD/rust cargo build --release --offline -q --examples --manifest-path "$root/libagent/rust/Cargo.toml" >>"$work/cargo" 2>&1; then
		ok "Rust: the crate builds offline, and its own tests pass"
	else
		fail "Rust: the crate builds offline, and its own tests pass"
		tail -n 20 "$work/cargo" | sed 's/^/# /'
	fi
	# Of the compiler, about a place in the crate; cargo has words of its own about the machine.
	is "Rust: without a warning" "$(grep -A1 '^warning' "$work/cargo" | grep -- '-->')" ""
	steps Rust "$BUILD/rust/release/examples/driver"
else
	skip "Rust" "cargo is not installed"
fi
is "the shared library exports what its header declares" \
    "$(nm -D --defined-only "$BUILD"/libagent.so.?.?.? | awk '{ print $3 }' | grep -v '^__' | sort)" \
    "$(grep -oE '\bagent_[a-z_]+\(' "$root/libagent/c/agent.h" | tr -d '(' | grep -vE '_fn$' | cat - <(echo agent_json) | sort -u)"

#!/bin/bash
# libagent in sessions, with the real broker and real plugins: the steps in C, Rust and Python, and
# the example agents.
# timeout: 300
# shellcheck disable=SC2154
. "$(dirname "$0")/lib.sh"
need_root "sessions"
instance_new
mkdir -p "$dir/tree/below"
printf 12345 >"$dir/tree/a.txt"
for i in {1..1100}; do : >"$dir/tree/below/$i"; done
printf '%s\n' "ceilings: {allowed_context: [$dir]}" >>"$dir/agentd.yaml"
instance_up "the instance starts"
languages=(c python)
if ! command -v cargo >/dev/null; then
	skip "Rust" "cargo is not installed"
elif CARGO_TARGET_DIR=$BUILD/rust cargo build --release --offline -q --examples --manifest-path "$root/libagent/rust/Cargo.toml" >"$dir/cargo" 2>&1 &&
    CARGO_TARGET_DIR=$BUILD/rust cargo build --release --offline --locked -q --manifest-path "$root/examples/agents/digest-rust/Cargo.toml" >>"$dir/cargo" 2>&1; then
	languages+=(rust)
else
	fail "the crate builds: $(tail -n 3 "$dir/cargo")"
fi

# notes AGENT KIND: what its newest session said of itself.
notes() { grep -F "\"kind\":\"$2\"" "$dir/log/$1/$(latest "$1" .id).notes.jsonl"; }

# --- the steps --------------------------------------------------------------------------------------
# What differs between sessions is taken out of their output.
steady() { sed -E 's/[0-9a-f]{8}-[0-9a-f-]{27}/ID/g; s/[0-9]{4}-[0-9-]+T[0-9:.]+Z/TIME/g; s/"agent":"steps-[a-z]+"/"agent":"steps"/g'; }
# steps LANGUAGE DRIVER: DRIVER is what the agent's shell runs in its folder.
steps() {
	local language=$1 name=steps-$1
	agent "$name" "cd '$dir/agents/$name' && $2 <steps-session.txt" "env: {PYTHONPATH: $dir/agents/$name}
mcp_servers: [{name: t, command: ./fake_server.py, args: [--plugin], passthrough: true, timeout: 60s}]" >/dev/null
	cp "$root"/tests/libagent/{steps-session.txt,fake_server.py} "$dir/agents/$name/"
	sed -i '1s,.*,#!/usr/bin/python3,' "$dir/agents/$name/fake_server.py"
	chmod 755 "$dir/agents/$name/fake_server.py"
	case $language in
	c) cp "$BUILD/tests/agent-driver" "$dir/agents/$name/driver" ;;
	python) cp -r "$root/tests/libagent/driver.py" "$root/libagent/python/libagent" "$dir/agents/$name/" ;;
	rust) cp "$BUILD/rust/release/examples/driver" "$dir/agents/$name/driver" ;;
	esac
	check "$language: the agent installs" ash agent install --replace "$dir/agents/$name/manifest.yaml"
	ash agent run "$name" >"$dir/$name.out" 2>"$dir/$name.err" || fail "$language: the session succeeds: $(tail -n 3 "$dir/$name.err")"
	steady <"$dir/$name.out" >"$dir/$name.steady"
	if diff "$root/tests/libagent/steps-session.expected" "$dir/$name.steady" >"$dir/diff"; then
		ok "$language: what came of each step"
	else
		fail "$language: what came of each step"
		head -n 20 "$dir/diff" | sed 's/^/# /'
	fi
	is "$language: its result is kept as it came" "$(notes "$name" result | grep -o '"data":.*')" '"data":{"ok":true,"n":12345678901234567890}}'
	like "$language: its log has the line" "$(ash session logs "$name@latest" 2>&1 >/dev/null)" 'info: one line'
}
for language in "${languages[@]}"; do
	case $language in
	python) steps python '/usr/bin/python3 driver.py' ;;
	*) steps "$language" ./driver ;;
	esac
done

# --- the example agents ---------------------------------------------------------------------------------
# example LANGUAGE PROGRAM
example() {
	local name=digest-$1
	mkdir -p "$dir/agents/$name"
	cp "$2" "$dir/agents/$name/digest"
	cp "$root/examples/plugins/survey/survey" "$dir/agents/$name/"
	[ "$1" != python ] || cp -r "$root/libagent/python/libagent" "$dir/agents/$name/"
	# As it stands in the folder of examples, but for the directory and where things lie.
	sed -e "s,/usr/share/doc\, target,$dir/tree\, target," -e "s,/usr/share/scarab-runtime/examples/plugins/survey/survey,./survey," \
	    -e "s,^  task:.*,&\n  env: {PYTHONPATH: $dir/agents/$name}," "$root/examples/agents/$name/manifest.yaml" >"$dir/agents/$name/manifest.yaml"
	check "$1: the example installs" ash agent install "$dir/agents/$name/manifest.yaml"
	status "$1: its session succeeds" 0 ash agent run "$name"
	is "$1: prints the summary" "$out" "/context/docs: 1101 files in 1 directories, 5 bytes"
	is "$1: and stores it" "$(notes "$name" result | jq -c '.data | [.path, .summary.files, .summary.bytes, .previous]')" '["/context/docs",1101,5,null]'
	is "$1: plans, acts, observes" "$(notes "$name" transition | jq -r .name | xargs)" "plan act observe"
	like "$1: its call is recorded" "$(grep -F "$(latest "$name" .id)" "$dir/log/audit.log")" 'survey__summarise: ok'
	status "$1: a task that cannot be done" 1 ash agent run "$name" --task /etc
	like "$1: is told of in the tool's words" "$(ash session logs "$name@latest" 2>&1)" '/etc is not below /context'
}
for language in "${languages[@]}"; do
	case $language in
	c) example c "$BUILD/examples/digest-c/digest" ;;
	python) example python "$root/examples/agents/digest-python/digest" ;;
	rust) example rust "$BUILD/rust/release/digest" ;;
	esac
done

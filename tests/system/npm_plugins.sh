#!/bin/bash
# The reference servers from npm as plugins of sessions: each starts in a sandbox without a network, and
# what it lists and answers through agentd is what it lists and answers directly, byte for byte.
# timeout: 300
# shellcheck disable=SC2154
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
. "$root/tests/npm.sh"
need_root "plugins"
npm_need
instance_new
printf '%s\n' "ceilings: {allowed_context: [$npm]}" >>"$dir/agentd.yaml"
instance_up "the instance starts"
packages=(everything filesystem memory sequential-thinking)
requests=$dir/requests work=$dir/agents/filesystem
mkdir -p "$requests" "$work/files"
# Results over 8 MiB, characters of every width.
printf 'caf\303\251 \360\237\230\200 "quoted" \\ back\tslash\n' >"$work/files/unicode.txt"
head -c $((9 << 20)) /dev/zero | tr '\0' 'x' >"$work/files/nine-mebibytes.txt"

# call ID TOOL ARGUMENTS
call() { printf '{"jsonrpc":"2.0","id":%s,"method":"tools/call","params":{"name":"%s","arguments":%s}}\n' "$1" "$2" "$3"; }
ask() { printf '{"jsonrpc":"2.0","id":%s,"method":"%s","params":%s}\n' "$1" "$2" "$3"; }

{
	ask 0 tools/list '{}'
	call 1 echo '{"message":"a\u0000b 9007199254740993 caf\u00e9 \ud83d\ude00"}'
	call 2 get-sum '{"a":9007199254740993,"b":1e-7}'
	call 3 get-tiny-image '{}'
	call 4 get-structured-content '{"location":"New York"}'
	call 5 get-annotated-message '{"messageType":"error","includeImage":true}'
	call 6 get-resource-links '{"count":3}'
	call 7 echo '{"message":7}'
	call 8 echo '{}'
	call '"a string"' get-sum '{"a":"x"}'
	ask 10 resources/read '{"uri":"demo://resource/static/document/features.md"}'
	ask 11 prompts/get '{"name":"simple-prompt"}'
	ask 12 prompts/get '{"name":"args-prompt","arguments":{"city":"Oslo"}}'
	ask 13 completion/complete '{"ref":{"type":"ref/prompt","name":"completable-prompt"},"argument":{"name":"department","value":"E"}}'
} >"$requests/everything"
{
	ask 0 tools/list '{}'
	call 1 read_text_file "{\"path\":\"$work/files/unicode.txt\"}"
	call 2 read_text_file "{\"path\":\"$work/files/nine-mebibytes.txt\"}"
	call 3 list_directory "{\"path\":\"$work/files\"}"
	call 4 read_text_file "{\"path\":\"$work/files/none\"}"
	call 5 read_text_file '{"path":"/etc/passwd"}'
	call 6 directory_tree "{\"path\":\"$work/files\"}"
	call 7 read_multiple_files "{\"paths\":[\"$work/files/unicode.txt\",\"$work/files/none\"]}"
	call 8 list_allowed_directories '{}'
	call 9 search_files "{\"path\":\"$work/files\",\"pattern\":\"**/*.txt\"}"
} >"$requests/filesystem"
{
	ask 0 tools/list '{}'
	call 1 create_entities '{"entities":[{"name":"Ada","entityType":"person","observations":["caf\u00e9"]}]}'
	call 2 add_observations '{"observations":[{"entityName":"Ada","contents":["a\u0000b"]}]}'
	call 3 search_nodes '{"query":"ada"}'
	call 4 read_graph '{}'
	call 5 add_observations '{"observations":[{"entityName":"nobody","contents":[]}]}'
} >"$requests/memory"
{
	ask 0 tools/list '{}'
	call 1 sequentialthinking '{"thought":"one","thoughtNumber":1,"totalThoughts":2,"nextThoughtNeeded":true}'
	call 2 sequentialthinking '{"thought":"two","thoughtNumber":2,"totalThoughts":2,"nextThoughtNeeded":false}'
	call 3 sequentialthinking '{}'
} >"$requests/sequential-thinking"

# server NAME [MORE]: a server of mcp_servers; its package lies below /context. $files: what that of files serves.
server() {
	printf '{name: %s, command: /usr/bin/env, args: [node, /context/npm/node_modules/.bin/mcp-server-%s%s], mounts: [context]%s}' \
	    "${1:0:16}" "$1" "$(case $1 in filesystem) echo ", $files" ;; esac)" \
	    "$(case $1 in memory) echo ", env_template: {MEMORY_FILE_PATH: /tmp/memory.jsonl}" ;; esac)${2:-}"
}
files=$work/files
context="context: [{source: $npm, target: /context/npm}]"

for name in "${packages[@]}"; do
	mkdir -p "$dir/agents/$name"
	cp "$root/tests/mcp/lines.py" "$dir/agents/$name/"
	cp "$requests/$name" "$dir/agents/$name/requests"
	direct=(node "$npm/node_modules/.bin/mcp-server-$name")
	[ "$name" != filesystem ] || direct+=("$work/files")
	MEMORY_FILE_PATH=$dir/memory.jsonl python3 "$root/tests/mcp/lines.py" "$requests/$name" "${direct[@]}" \
	    >"$dir/$name.direct" 2>"$dir/$name.err" || fail "$name answers directly: $(tail -n 1 "$dir/$name.err")"
	install "$name" "exec /usr/bin/python3 '$dir/agents/$name/lines.py' '$dir/agents/$name/requests'" \
	    "$(printf '%s\n' "$context" "mcp_servers: [$(server "$name" ', passthrough: true')]")"
	snapshot_take
	status "$name: its session succeeds" 0 ash agent run "$name"
	while read -r id bytes sum; do
		is "$name: $id: $bytes bytes" "$(grep -F -- "$id $bytes " <<<"$out")" "$id $bytes $sum"
	done <"$dir/$name.direct"
	is "$name: and nothing else" "$(wc -l <<<"$out")" "$(wc -l <"$dir/$name.direct")"
	settled "$name: nothing is left"
done

files=/context
install all 'cat /run/agentd/tools.json' "$(printf '%s\n' "$context" "mcp_servers: [$(for name in "${packages[@]}"; do printf '%s, ' "$(server "$name")"; done)]")"
status "all of them in one session" 0 ash agent run all
for name in "${packages[@]}"; do
	is "$name: each of its tools is there" "$(jq '[.. | .name? // empty | strings | select(startswith("'"${name:0:16}"'__"))] | length' <<<"$out")" \
	    "$(grep -cE '^[a-z_-]+ ' "$dir/$name.direct")"
done
[ "$failed" -eq 0 ]

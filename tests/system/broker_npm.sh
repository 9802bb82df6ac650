#!/bin/bash
# The reference servers from npm, each directly and through a broker: the same requests, and the
# answers are the same bytes. They are installed into the build folder and nowhere else.
# timeout: 300
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/system/lib.sh
need_root "a broker is started by root"
command -v npm >/dev/null || { echo "skip - broker_npm: npm is not installed"; exit 0; }

version=2026.8.31
packages=(everything filesystem memory sequential-thinking)
wanted=("${packages[@]/#/@modelcontextprotocol/server-}")
npm=$BUILD/npm
if ! [ -e "$npm/installed-$version" ]; then
	mkdir -p "$npm"
	if ! said=$(npm install --prefix "$npm" --no-audit --no-fund --ignore-scripts --loglevel=error \
	    --fetch-retries=1 --fetch-timeout=20000 "${wanted[@]/%/@$version}" 2>&1); then
		echo "skip - broker_npm: npm cannot install the servers: $(tail -n 1 <<<"$said")"
		exit 0
	fi
	touch "$npm/installed-$version"
fi
work=$(mktemp -d "$BUILD/broker-npm.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
# Results over 8 MiB, characters of every width, and both servers of a pair find the same.
mkdir "$work/files"
printf 'caf\303\251 \360\237\230\200 "quoted" \\ back\tslash\n' >"$work/files/unicode.txt"
head -c $((9 << 20)) /dev/zero | tr '\0' 'x' >"$work/files/nine-mebibytes.txt"

# call ID TOOL ARGUMENTS
call() { printf '{"jsonrpc":"2.0","id":%s,"method":"tools/call","params":{"name":"%s","arguments":%s}}\n' "$1" "$2" "$3"; }
ask() { printf '{"jsonrpc":"2.0","id":%s,"method":"%s","params":%s}\n' "$1" "$2" "$3"; }

{
	call 1 echo '{"message":"a\u0000b 9007199254740993 caf\u00e9 \ud83d\ude00"}'
	call 2 get-sum '{"a":9007199254740993,"b":1e-7}'
	call 3 get-tiny-image '{}'
	call 4 get-structured-content '{"location":"New York"}'
	call 5 get-annotated-message '{"messageType":"error","includeImage":true}'
	call 6 get-resource-links '{"count":3}'
	call 7 echo '{"message":7}'
	call 8 echo '{}'
	call '"a string"' get-sum '{"a":"x"}'
	call 10 get-resource-reference '{"resourceType":"Text","resourceId":1}'
	ask 11 prompts/get '{"name":"simple-prompt"}'
	ask 12 prompts/get '{"name":"args-prompt","arguments":{"city":"Oslo"}}'
	ask 13 completion/complete '{"ref":{"type":"ref/prompt","name":"completable-prompt"},"argument":{"name":"department","value":"E"}}'
} >"$work/everything"
{
	call 1 read_text_file "{\"path\":\"$work/files/unicode.txt\"}"
	call 2 read_text_file "{\"path\":\"$work/files/nine-mebibytes.txt\"}"
	call 3 list_directory "{\"path\":\"$work/files\"}"
	call 4 read_text_file "{\"path\":\"$work/files/none\"}"
	call 5 read_text_file '{"path":"/etc/passwd"}'
	call 6 directory_tree "{\"path\":\"$work/files\"}"
	call 7 read_multiple_files "{\"paths\":[\"$work/files/unicode.txt\",\"$work/files/none\"]}"
	call 8 list_allowed_directories '{}'
	call 9 search_files "{\"path\":\"$work/files\",\"pattern\":\"**/*.txt\"}"
} >"$work/filesystem"
{
	call 1 create_entities '{"entities":[{"name":"Ada","entityType":"person","observations":["caf\u00e9"]}]}'
	call 2 add_observations '{"observations":[{"entityName":"Ada","contents":["a\u0000b"]}]}'
	call 3 search_nodes '{"query":"ada"}'
	call 4 read_graph '{}'
	call 5 add_observations '{"observations":[{"entityName":"nobody","contents":[]}]}'
} >"$work/memory"
{
	call 1 sequentialthinking '{"thought":"one","thoughtNumber":1,"totalThoughts":2,"nextThoughtNeeded":true}'
	call 2 sequentialthinking '{"thought":"two","thoughtNumber":2,"totalThoughts":2,"nextThoughtNeeded":false}'
	call 3 sequentialthinking '{}'
} >"$work/sequential-thinking"

for name in "${packages[@]}"; do
	command=(node "$npm/node_modules/.bin/mcp-server-$name")
	case $name in
	filesystem) command+=("$work/files") ;;
	# A file for each of the pair.
	memory)
		# shellcheck disable=SC2016
		command=(sh -c 'MEMORY_FILE_PATH=$1/memory-$$.jsonl exec node "$2"' sh "$work" "${command[1]}")
		;;
	esac
	"$BUILD/tests/broker_driver" compare "$work/$name" "${command[@]}" >"$work/$name.out" 2>"$work/$name.err"
	status=$?
	sed "s/^\(ok\|FAIL\) - /&$name: /" "$work/$name.out"
	# A driver that ends without a word is a failure too.
	if [ $status -ne 0 ] && ! grep -q '^FAIL' "$work/$name.out"; then
		echo "FAIL - $name: the driver ended with $status: $(tail -n 1 "$work/$name.err")"
	fi
done

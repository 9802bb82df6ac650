#!/bin/bash
# ash tool list and call --plugin: a plugin tried without agentd, also one that does what none should.
# timeout: 300
# shellcheck disable=SC2154
. "$(dirname "$0")/lib.sh"
dir=$(mktemp -d "${TMPDIR:-/tmp}/scarab-tool.XXXXXX")
trap 'rm -rf "$dir"; dir=""; finish' EXIT
sock=$dir/none
survey=$root/examples/plugins/survey/survey
hostile=$root/tests/libagent/hostile_plugin.py
mkdir -p "$dir/tree/below"
printf 12345 >"$dir/tree/a.txt"
printf 1234567 >"$dir/tree/below/b.TXT"
ln -s /etc "$dir/tree/link"

status "the tools of the example plugin" 0 ash tool list --plugin "$survey" "$dir/tree"
like "are listed" "$out" '^NAME +DESCRIPTION.summarise +Counts.*roots '
like "with the word that nothing confines it" "$err" "survey runs as you, without a sandbox"
like "and what it said on standard error" "$err" "survey of $dir/tree"
status "as JSON, with whole definitions" 0 ash --json tool list --plugin "$survey"
is "of each tool" "$(jq -r '.[] | .name + " " + .definition.inputSchema.type' <<<"$out" | tr '\n' ' ')" "summarise object roots object "
is "and nothing else said" "$err" "survey of /context"

status "a call" 0 ash tool call --plugin "$survey" "$dir/tree" -- summarise "{\"path\":\"$dir/tree\"}"
is "prints the answer's text" "$out" "$dir/tree: 2 files in 1 directories, 12 bytes"
status "as JSON" 0 ash --json tool call --plugin "$survey" "$dir/tree" -- summarise "{\"path\":\"$dir/tree\"}"
is "the whole result" "$(jq -c '[.tool, .is_error, .result.structuredContent.suffixes, .result.structuredContent.links]' <<<"$out")" '["summarise",false,{".txt":2},1]'
status "arguments may be left out, and written on lines" 0 ash tool call --plugin "$survey" "$dir/tree" -- roots $'{\n}'
is "roots" "$out" "$dir/tree: a.txt, below, link"
status "what the tool says it failed at is exit status 1" 1 ash tool call --plugin "$survey" "$dir/tree" -- summarise '{"path":"/etc"}'
is "with its words" "$out" "/etc is not below $dir/tree"
status "a link does not lead out" 1 ash tool call --plugin "$survey" "$dir/tree" -- summarise "{\"path\":\"$dir/tree/link\"}"
status "a tool that it does not have" 1 ash tool call --plugin "$survey" -- nosuch
like "is its error" "$err" "the plugin: tools/call: it answers with error -32602: Unknown tool: nosuch"

status "usage: no --plugin" 2 ash tool call -- x
status "usage: no tool" 2 ash tool call --plugin "$survey"
status "usage: no JSON" 2 ash tool call --plugin "$survey" -- roots '{'
status "usage: no object" 2 ash tool call --plugin "$survey" -- roots '[]'
status "usage: no time" 2 ash tool call --timeout never --plugin "$survey" -- roots
status "no such program" 3 ash tool list --plugin "$dir/none"
like "is named" "$err" "cannot run $dir/none: No such file"
status "no plugin and no agent" 2 ash tool list

# bad HOW WHY [ARGUMENTS]: a call of the hostile plugin fails for this reason, in its time.
bad() { bad_at "$1" "$2" tool call --timeout "${3:-30s}" --plugin "$hostile" "$1" -- x '{}'; }
bad_list() { bad_at "$1" "$2" tool list --plugin "$hostile" "$1"; }
bad_at() {
	local how=$1 why=$2
	shift 2
	status "a plugin that is bad: $how" 1 ash --quiet "$@"
	like "is told of" "$err" "^ash: the plugin: .*$why"
}
bad exits 'initialize: it ended with exit status 3'
bad killed 'initialize: it was ended by signal 11'
bad garbage '8 lines on its standard output were no messages'
bad closes_output 'it closed its standard output'
bad future 'it speaks revision 2099-01-01 of MCP'
bad no_revision 'it speaks revision . of MCP'
bad silent 'tools/call: it does not answer in time' 300ms
bad storm 'tools/call: it does not answer in time' 300ms
bad dies 'it ended with exit status 4'
bad half_line 'it ended with exit status 0'
bad big_line 'it wrote a line of more than 32 MiB'
bad no_result 'its answer has no result'
bad refuses 'error -32000: no .\[31mway'
bad no_utf8 'it does not answer in time' 300ms
bad deep 'it does not answer in time' 300ms
big() { head -c 200000 /dev/zero | tr '\0' x; }
status "a plugin that does not read" 1 ash --quiet tool call --timeout 300ms --plugin "$hostile" never_reads -- x "{\"x\":\"$(big | head -c 120000)\"}"
like "is told of" "$err" "it does not read what it is sent"
bad_list endless 'its list of tools does not end'
bad_list many 'it has more than 10000 tools'
bad_list nameless 'a tool has no name'
bad_list no_list 'its list of tools is none'

for how in chatty strangers asks; do
	status "a plugin that is odd: $how" 0 ash tool call --plugin "$hostile" $how -- x
done
like "what it asks is answered" "$out" '"id":0,"result":\{\}.*Method not found'
like "and told" "$err" 'warning: the plugin: it asks for "roots/list"'
status "names that agents see changed" 0 ash tool list --plugin "$hostile" two_pages
like "are told of, on every page" "$err" 'a b/c: characters other.*a b/c has no inputSchema.*long-x+: with its server'

# The end.
status "a plugin that outlives its input" 0 ash tool call --plugin "$hostile" no_eof -- x
like "is told of, and ended" "$err" 'SIGTERM ended it'
status "one that does not hear SIGTERM" 0 ash tool call --plugin "$hostile" deaf -- x
like "is killed" "$err" 'and was killed'
status "a plugin that leaves a daemon behind" 0 ash tool call --plugin "$hostile" forks "$dir/daemon" -- x
check "its daemon is gone with it" ended "$(cat "$dir/daemon")"

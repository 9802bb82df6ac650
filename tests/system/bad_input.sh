#!/bin/bash
# timeout: 240
# Bad manifests, arguments, inputs and references: a clear error, the right exit status, nothing
# half-done, and the instance goes on.
# shellcheck disable=SC2154
. "$(dirname "$0")/lib.sh"
instance_start ""
mkdir "$dir/m"
printf '#!/bin/sh\n' >"$dir/m/good"
chmod 755 "$dir/m/good"

# manifest TEXT…: a manifest with these lines of spec in the file $dir/m/manifest.yaml
manifest() {
	printf 'apiVersion: scarab/v1\nkind: AgentManifest\nmetadata: {name: good, version: 1.0.0}\nspec:\n  runtime: rust\n' >"$dir/m/manifest.yaml"
	[ $# -eq 0 ] || printf '  %s\n' "$@" >>"$dir/m/manifest.yaml"
}
installed() { ash --json agent list | jq -r '[.[].name] | join(" ")'; }
# refused TEXT PATTERN: by validate and by install, with 7, naming it; nothing is installed.
refused() {
	status "$1: validate exits 7" 7 ash agent validate "$dir/m/manifest.yaml"
	like "$1: validate names it" "$err" "$2"
	status "$1: install exits 7" 7 ash agent install "$dir/m/manifest.yaml"
	like "$1: install names it" "$err" "$2"
	is "$1: nothing is installed" "$(installed)" ""
}

manifest 'comand: x'
refused "an unknown key" 'manifest.yaml:6:3:.*comand.*command'
manifest 'network: {policy: sometimes}'
refused "an unknown word" 'manifest.yaml:6:.*sometimes'
manifest 'lifecycle: {timeout_secs: -1}'
refused "a number out of range" 'manifest.yaml:6:.*-1'
manifest 'env: {A: b'
refused "broken YAML" 'manifest.yaml:[67]:'
manifest 'task: one' 'task: two'
refused "a key written twice" 'manifest.yaml:7:.*task'
manifest 'env: [not, a, map]'
refused "a list for a mapping" 'manifest.yaml:6:.*env'
manifest "task: \"$(printf 'a\\0b')\""
refused "a NUL in a string" 'manifest.yaml:6:'
printf 'apiVersion: scarab/v9\nkind: AgentManifest\n' >"$dir/m/manifest.yaml"
refused "another version" 'scarab/v9'
printf 'apiVersion: scarab/v1\nkind: AgentManifest\nmetadata: {name: Bad_Name, version: 1.0.0}\nspec: {}\n' >"$dir/m/manifest.yaml"
refused "a bad name" 'manifest.yaml:3:18:.*metadata.name'
: >"$dir/m/manifest.yaml"
refused "an empty file" 'manifest.yaml'
printf '\377\376\000a' >"$dir/m/manifest.yaml"
refused "a file that is no text" 'manifest.yaml'
head -c 100000 /dev/zero | tr '\0' '[' >"$dir/m/manifest.yaml"
refused "deep nesting" 'manifest.yaml'
{
	echo 'a: &a [x,x,x,x,x,x,x,x,x]'
	for l in b c d e f g h i j; do
		echo "$l: &$l [*a,*a,*a,*a,*a,*a,*a,*a,*a]" | sed "s/\*a/*$(echo "$l" | tr 'b-j' 'a-i')/g"
	done
} >"$dir/m/manifest.yaml"
refused "aliases that grow without end" 'manifest.yaml'
manifest
{
	cat "$dir/m/manifest.yaml"
	head -c 2000000 /dev/zero | tr '\0' '#'
} >"$dir/m/big"
mv "$dir/m/big" "$dir/m/manifest.yaml"
refused "a file of 2 MB" 'manifest.yaml'

# What this build cannot enforce is refused, each by its name.
while IFS='|' read -r line key; do
	manifest "$line"
	status "$key is refused with 7" 7 ash agent install "$dir/m/manifest.yaml"
	like "$key: the reason" "$err" "this build cannot enforce"
	like "$key: the key" "$err" "$key"
done <<'KEYS'
mcp_servers: [{name: fs, transport: Http, url: "https://a.example/"}]|mcp_servers
KEYS
manifest 'image: "oci:/srv/of-no-image"'
status "an image that is not there: 3" 3 ash agent install "$dir/m/manifest.yaml"
like "naming it" "$err" 'oci:/srv/of-no-image'
manifest 'packages: [a.whl]'
refused "packages of another runtime" 'manifest.yaml:6:.*packages'
is "nothing of these is installed" "$(installed)" ""

# What asks for nothing is fine.
manifest 'packages: []' 'credentials: []' 'triggers: []' 'retry: {max: 0}' 'budget: {max_runs_per_day: 0}' \
    'network: {policy: none}' 'lifecycle: {idle_timeout_secs: 0, restart_policy: never}'
status "keys that ask for nothing install" 0 ash agent install "$dir/m/manifest.yaml"
status "installing it again without --replace: 5" 5 ash agent install "$dir/m/manifest.yaml"
status "with --replace: 0" 0 ash agent install --replace "$dir/m/manifest.yaml"
status "and runs" 0 ash agent run good

# --- policy ---
manifest 'context: [{source: /root, target: /context/x}]'
status "a context outside allowed_context is refused" 4 ash agent install --replace "$dir/m/manifest.yaml"
like "naming it" "$err" '/root'
manifest 'context: [{source: /var/log/../../root, target: /context/x}]'
check "no way round allowed_context with .." fails ash agent install --replace "$dir/m/manifest.yaml"
manifest 'context: [{source: /var/log, target: /etc}]'
check "a context target over /etc is refused" fails ash agent install --replace "$dir/m/manifest.yaml"
is "the installed one is as it was" "$(ash --json agent show good | jq -r .version)" 1.0.0
status "and runs still" 0 ash agent run good

# --- arguments ---
status "no command: 2" 2 ash
status "an unknown command: 2" 2 ash agnet list
status "an unknown option: 2" 2 ash agent list --wibble
status "too many arguments: 2" 2 ash agent show a b
status "a bad duration: 2" 2 ash agent run good --timeout 5parsecs
status "show of an unknown agent: 3" 3 ash agent show nobody
status "remove of an unknown agent: 3" 3 ash agent remove nobody
status "an unknown session: 3" 3 ash session show ffffffff
status "a bad session reference: not 0" 3 ash session show 'x y'
status "a name that is a path: not found" 3 ash agent show ../../etc/passwd
status "a manifest that is not there: 3" 3 ash agent install "$dir/none.yaml"
status "a manifest that is a directory: 7" 7 ash agent validate "$dir/m"
status "input that is not there: 125" 125 ash agent run good --input "$dir/none"
head -c 17000000 /dev/zero >"$dir/input"
status "input over 16 MiB: 125" 125 ash agent run good --input "$dir/input"
like "naming the limit" "$err" '16'
status "a task that is too long" 125 ash agent run good --task "$(head -c 9000 /dev/zero | tr '\0' x)"
status "an unreachable socket: 6" 6 "$BUILD/ash" -s "$dir/none.sock" ping
status "a JSON error has code, what, why and hint" 3 ash --json agent show nobody
is "as documented" "$(echo "$err" | jq -r '.error | [has("code"), has("what"), has("why"), has("hint")] | all')" true
is "no session is left behind" "$(ls "$dir/state/sessions")" ""
status "after all of it ash works" 0 ash ping
restarts=$(ash --json status | jq '[.daemons[].restarts] | add')
is "and no daemon was restarted" "$restarts" 0

#!/bin/bash
# The example agent on package logs and lists made for it: first run, changes, rotation, a log that
# is missing, a memory that is damaged.
# shellcheck disable=SC2154
. "$(dirname "$0")/lib.sh"
instance_new
mkdir "$dir/dpkg"
printf 'ceilings: {allowed_context: ["%s/dpkg"]}\n' "$dir" >>"$dir/agentd.yaml"
instance_up "the instance starts"

packages() { # NAME VERSION …
	while [ $# -gt 0 ]; do
		printf 'Package: %s\nStatus: install ok installed\nArchitecture: amd64\nVersion: %s\n\n' "$1" "$2"
		shift 2
	done >"$dir/dpkg/status.new"
	mv "$dir/dpkg/status.new" "$dir/dpkg/status"
}
packages aa 1 bb 1 cc 1
echo '2020-01-01 10:00:00 install aa:amd64 <none> 1' >"$dir/dpkg/log"
cp -r "$root/examples/agents/changes" "$dir/agents/changes"
sed -i -e "s,/var/log/dpkg.log,$dir/dpkg/log," -e "s,/var/lib/dpkg/status,$dir/dpkg/status," "$dir/agents/changes/manifest.yaml"
status "it installs" 0 ash agent install "$dir/agents/changes/manifest.yaml"
status "first session" 0 ash agent run changes
like "says that it is the first" "$out" 'Session 1, my first: 3 packages'
status "second session" 0 ash agent run changes
like "remembers the first" "$out" 'Session 2.*Nothing changed; 3 packages'

packages aa 2 cc 1 dd 1
cat >>"$dir/dpkg/log" <<'LOG'
2099-01-01 10:00:00 upgrade aa:amd64 1 2
2099-01-01 10:00:01 remove bb:amd64 1 <none>
2099-01-01 10:00:02 upgrade cc:amd64 1 1
2099-01-01 10:00:03 install dd:amd64 <none> 1
LOG
printf '2099-01-01 10:00:04 inst' >>"$dir/dpkg/log"
status "third session" 0 ash agent run changes
is "names each change with its time" "$(grep '^  ' <<<"$out")" \
    "  2099-01-01 10:00:00  upgraded    aa:amd64 1 -> 2
  2099-01-01 10:00:01  removed     bb:amd64 1
  2099-01-01 10:00:02  reinstalled cc:amd64 1
  2099-01-01 10:00:03  installed   dd:amd64 1"

printf 'all ee:amd64 <none> 1\n' >>"$dir/dpkg/log"
packages aa 2 cc 1 dd 1 ee 1
status "a line that was half written" 0 ash agent run changes
is "counts once it is whole" "$(grep '^  ' <<<"$out")" "  2099-01-01 10:00:04  installed   ee:amd64 1"

printf '2099-01-02 10:00:00 upgrade ee:amd64 1 1\n' >"$dir/dpkg/log"
status "a rotated log" 0 ash agent run changes
like "is noticed and read" "$out" 'another one.*reinstalled ee:amd64 1'
: >"$dir/dpkg/log"
packages aa 2 cc 1 dd 1
status "an empty log" 0 ash agent run changes
like "leaves the comparison" "$out" 'time unknown.*removed +ee:amd64 1'

home=$dir/state/homes/changes/home
printf 'garbage\n' >>"$home/changes.memory"
status "a damaged memory" 0 ash agent run changes
like "begins anew" "$out" 'damaged.*Session 1, my first'
: >"$home/changes.memory"
status "an empty memory" 0 ash agent run changes
like "begins anew too" "$out" 'damaged.*Session 1, my first'
is "its home holds the memory, and what the runtime told it" "$(cd "$home" && echo *)" "AGENTS.md CLAUDE.md changes.memory"

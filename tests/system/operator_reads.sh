#!/bin/bash
# timeout: 300
# What an operator who is not root may not read, no path of a manifest reveals: not what lies below
# a closed directory, nor whether it is there; not what links lead to that are swapped while agentd
# looks; not what is above the ceilings.
# shellcheck disable=SC2154
. "$(dirname "$0")/lib.sh"
instance_new ''
mkdir "$dir/op" "$dir/closed" "$dir/bin"
chmod 0700 "$dir/closed"
cat >>"$dir/agentd.yaml" <<YAML
ceilings: {allowed_context: [$dir/op, $dir/closed], allowed_install: [$dir/op, $dir/closed], allowed_images: [$dir/op, $dir/closed]}
YAML
instance_up "the instance starts"
cp "$BUILD/ash" "$BUILD/tests/liar_driver" "$BUILD/tests/swap" "$dir/bin/" || fail "copying the programs"
operator=$((uid_base + 20))
# as COMMAND…: as a member of the operators' group, and nobody else.
as() { setpriv --reuid $operator --regid $((uid_base + 10)) --clear-groups --inh-caps=-all -- "$@"; }
op() { as "$dir/bin/ash" -s "$sock" "$@"; }
chown $operator "$dir/op"
status "the operator is one" 0 op ping
status "and is not root" 1 as cat "$dir/closed/x"

# What is closed: a sound agent, a skill, an image, a file; and what is not there beside it.
canary=canary-$RANDOM$RANDOM
place() { # place DIR: an agent of that name's basename, with all that a manifest can name
	mkdir -p "$1/deep" "$1/skill"
	printf '#!/bin/sh\necho %s\n' "$canary" >"$1/prog"
	chmod 755 "$1/prog"
	echo "$canary" | tee "$1/file" >"$1/deep/file"
	printf -- '---\nname: skill\ndescription: %s\n---\n' "$canary" >"$1/skill/SKILL.md"
}
place "$dir/closed/there"
mine=$dir/op/agent
mkdir "$mine" "$mine/shut"
printf '#!/bin/sh\ncat /context/*/* /context/* /skills/*/* /skills/index.json /file /deep/file 2>/dev/null; true\n' >"$mine/prog"
chmod 755 "$mine/prog"
chown -R $operator "$mine"
place "$mine/shut/there"
ln -s shut "$mine/aside"
chown root "$mine/shut"
chmod 0700 "$mine/shut"

# manifest SPEC: of the operator's agent
manifest() {
	printf 'apiVersion: scarab/v1\nkind: AgentManifest\nmetadata: {name: mine, version: 1.0.0}\nspec:\n' >"$mine/manifest.yaml"
	[[ $1 == *command:* ]] || echo '  command: prog' >>"$mine/manifest.yaml"
	printf '%s\n' "$1" | sed 's/^/  /' >>"$mine/manifest.yaml"
	echo "  budget: {failures_before_pause: 0}" >>"$mine/manifest.yaml"
}
# said COMMAND…: its status and what it said, names of the two paths made one
said() { printf '%s\n' "$("$@" 2>&1; echo "status $?")" | sed -E 's#/(there|none)#/NAME#g'; }
liar() { as "$dir/bin/liar_driver" "$sock" "$mine/manifest.yaml" "$@"; }
installed() { ash --json agent list | jq -r '[.[].name] | join(" ")'; }

# same TEXT REASON SPEC [INSTALL_DIR]: with @ as what is there and as what is not, told in one and the
# same way to an honest ash, to a client that lies, which hears REASON, and to who only asks.
same() {
	local text=$1 reason=$2 spec=$3 at=${4:-$mine} name ask=()
	for name in there none; do
		manifest "${spec//@/$name}"
		said op agent install "$mine/manifest.yaml" --dir "${at//@/$name}" >"$dir/ash.$name"
		said liar "${at//@/$name}" "$mine" >"$dir/liar.$name"
		said liar "${at//@/$name}" /usr >"$dir/usr.$name"
		said op --json explain "$mine/manifest.yaml" >"$dir/explain.$name"
	done
	for ask in ash liar usr explain; do
		is "$text: $ask tells no difference" "$(cat "$dir/$ask.there")" "$(cat "$dir/$ask.none")"
		is "$text: $ask tells no content" "$(grep -c "$canary" "$dir/$ask.there")" 0
	done
	like "$text: the reason" "$(cat "$dir/liar.there")" "$reason"
	is "$text: nothing is installed" "$(installed)" ""
}
unproved='^4 .*is not what was opened by that name'
shut='^7 .*Permission denied .*let others in'
same "install_dir" "$unproved" '' "$dir/closed/@"
same "an install_dir further down" "$unproved" '' "$dir/closed/@/deep"
same "a context directory" "$unproved" "context: [{source: $dir/closed/@, target: /context/x}]"
same "a context file" "$unproved" "context: [{source: $dir/closed/@/file, target: /context/x}]"
same "a context directory further down" "$unproved" "context: [{source: $dir/closed/@/deep, target: /context/x}]"
same "a skill" "$unproved" "skills: [$dir/closed/@/skill]"
same "a skill below a closed directory of one's own" "$unproved" "skills: [shut/@/skill]"
same "an image" "$unproved" "image: dir:$dir/closed/@"
same "a command" "$shut" "command: shut/@/prog"
same "a command that is no program" "$shut" "command: shut/@/file"
same "a command by its whole path" "$shut" "command: $mine/shut/@/prog"
same "a command behind a link" "$shut" 'command: aside/@/prog'
same "a command in an image" "$shut" "image: dir:$mine
command: /shut/@/prog"
# --- above the ceilings ------------------------------------------------------------------------------
above() { # above TEXT SPEC [INSTALL_DIR]: @ is there or not; refused with 4, told in one way
	local text=$1 spec=$2 at=${3:-$mine} name
	for name in passwd none; do
		manifest "${spec//@/$name}"
		liar "${at//@/$name}" "$mine" 2>&1 | sed -E 's#/(passwd|none)#/NAME#g' >"$dir/above.$name"
	done
	like "$text is refused" "$(cat "$dir/above.passwd")" '^4 .*(outside|ceilings)'
	is "$text: whether it is there or not" "$(cat "$dir/above.passwd")" "$(cat "$dir/above.none")"
}
above "a context above the ceilings" 'context: [{source: /etc/@, target: /context/x}]'
above "a context whose name begins like an allowed one" "context: [{source: $dir/opx/@, target: /context/x}]"
above "a skill above the ceilings" 'skills: [/etc/@]'
above "an image above the ceilings" 'image: dir:/etc/@'
above "an install_dir above the ceilings" '' /etc/@
manifest "context: [{source: $dir/op/../closed/there, target: /context/x}]"
status "a way round with .. is no path" 7 op agent install "$mine/manifest.yaml"
is "nothing of it is installed" "$(installed)" ""

# --- links that are swapped ---------------------------------------------------------------------------
race=$dir/op/race
as mkdir -p "$race/real/skill" "$race/real/deep"
as sh -c "echo own >'$race/real/file'; echo own >'$race/real/deep/file'; printf -- '---\nname: skill\ndescription: own\n---\n' >'$race/real/skill/SKILL.md'
	cp '$mine/prog' '$race/real/prog'; ln -s '$dir/closed/there' '$race/link'"
as cp -r "$race/real" "$race/spare"
manifest "context: [{source: $race/real, target: /context/x}, {source: $race/real/deep/file, target: /context/y}]
skills: [$race/real/skill]"
# Between install and session, one after the other.
status "with its own the agent installs" 0 op agent install --replace "$mine/manifest.yaml" --dir "$race/real"
like "and sees them" "$(op agent run mine 2>&1)" own
as "$dir/bin/swap" "$race/real" "$race/link" 1 >/dev/null
status "a link in its place: no session" 125 op agent run mine
is "for want of its folder" "$(latest mine '.outcome + " " + .step')" "setup_failed image"
is "nothing is shown" "$(echo "$out$err" | grep -c "$canary")" 0
status "a link in its place: no install" 4 op agent install --replace "$mine/manifest.yaml" --dir "$race/real"
as "$dir/bin/swap" "$race/real" "$race/link" 1 >/dev/null
status "and back" 0 op agent run mine

# Meanwhile, as fast as they can be: 60 rounds against a bounded number of exchanges at a time.
: >"$dir/raced"
rounds=60 swaps=20000
for ((i = 0; i < rounds; i++)); do
	as "$dir/bin/swap" "$race/real" "$race/link" $swaps >"$dir/swapped" &
	swapper=$!
	{
		as "$dir/bin/liar_driver" "$sock" "$mine/manifest.yaml" "$race/real" "$race/spare"
		op agent install --replace "$mine/manifest.yaml" --dir "$race/real"
		op agent run mine
		op --json explain "$mine/manifest.yaml"
	} >>"$dir/raced" 2>&1
	wait $swapper || fail "the names are exchanged"

done
is "$rounds rounds of a race show nothing of what is closed" "$(grep -c "$canary" "$dir/raced")" 0
note "$(grep -c '^own' "$dir/raced") lines of its own were read, $(grep -c 'is not what was opened' "$dir/raced") proofs refused, $(grep -c 'cannot open' "$dir/raced") sessions found a link"
status "after it the agent runs as before" 0 op agent run mine
like "and sees its own" "$out" own
is "no daemon was restarted" "$(ash --json status | jq '[.daemons[].restarts] | add')" 0

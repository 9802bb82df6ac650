#!/bin/bash
# resources.disk: what a session may write over its home and its image, in memory and under a project
# quota; at the bound an agent meets a full disk and goes on, and what it left is committed whole.
# Then the keeper, runnerd and a homekeeper are killed around a layer that is in memory.
# timeout: 300
# shellcheck disable=SC2016,SC2154
if [ "${1:-}" != apart ] && [ "$(id -u)" -eq 0 ]; then
	exec unshare -m --propagation private bash "$0" apart
fi
. "$(dirname "$0")/lib.sh"
need_root "the limit of the disk"
instance_new
homes=$dir/state/homes
images=$dir/images
mkdir "$images"
mkdir "$dir/gate"
cat >>"$dir/agentd.yaml" <<YAML
ceilings: {trust_level: trusted, allowed_context: [$dir/gate], allowed_images: [$images]}
defaults: {disk: 8Mi}
YAML
busybox=$(PATH=/usr/bin:/bin command -v busybox)
mkdir -p "$images/box/bin" "$images/box/var/tmp"
chmod 1777 "$images/box/var/tmp"
cp "$busybox" "$images/box/bin/busybox" && ln -s busybox "$images/box/bin/sh"

row() { ash --json doctor | jq -r '.. | objects | select(.name? == "disk") | .'"$1"; }
names() { find "$1" -mindepth 1 -printf '%P\n' | sort | tr '\n' ' '; }
is_tidy() { [ -z "$(find "$homes/$1" -mindepth 1 -maxdepth 1 \( -name session -o -name rollback -o -name '.purged-*' \))" ]; }
bomb='exec "${0%/*}/disk" $SCARAB_TASK'
# held TEXT AGENT KIND DIR
held() {
	ash agent run "$2" --task "$3 $4" >"$dir/bomb" 2>&1
	if [ $? -eq 1 ] && grep -q '^held: .*\(No space left\|Disk quota exceeded\)' "$dir/bomb"; then ok "$1"; else
		fail "$1"
		sed 's/^/# /' "$dir/bomb"
	fi
}

# bombs MEANS: what holds by whatever means the host has.
bombs() {
	install bomb "$bomb" 'resources: {disk: 2Mi}'
	install bomb-default "$bomb"
	install bomb-none "$bomb" $'home: {mode: none}\nresources: {disk: 2Mi}'
	install bomb-image "$bomb" "image: dir:$images/box
resources: {disk: 2Mi}"
	local name
	for name in bomb bomb-default bomb-none bomb-image; do cp "$BUILD/tests/escape/disk" "$dir/agents/$name/"; done
	held "$1: a disk bomb in the home" bomb bytes /home/agent
	held "$1: an inode bomb in the home" bomb inodes /home/agent
	held "$1: a disk bomb without a limit of its manifest's" bomb-default bytes /home/agent
	held "$1: a disk bomb in a home of mode none" bomb-none bytes /home/agent
	held "$1: an inode bomb there" bomb-none inodes /home/agent
	held "$1: a disk bomb over an image" bomb-image bytes /var/tmp
	held "$1: an inode bomb over it" bomb-image inodes /var/tmp
	held "$1: a disk bomb in a home over an image" bomb-image bytes /home/agent

	install full 'cd; n=$(ls | wc -l); head -c 900000 /dev/zero >kept$n || exit 8
	head -c 9000000 /dev/zero >much 2>/dev/null && exit 9; rm much; echo fine >last; ls | wc -l' 'resources: {disk: 2Mi}'
	local i
	for i in 1 2 3; do status "$1: a session that met its bound, $i" 0 ash agent run full; done
	is "$1: is committed whole, and the bound is of one session" \
	    "$(find "$homes/full/home" -name 'kept*' -size -880k -size +870k | wc -l) $(cat "$homes/full/home/last") $(find "$homes/full/home" -name much)" "3 fine "
	install keeps 'cd; head -c 9000000 /dev/zero >much; exit 0' 'resources: {disk: 2Mi}'
	status "$1: one that leaves its layer full" 0 ash agent run keeps
	is "$1: leaves what fitted" "$([ "$(stat -c %s "$homes/keeps/home/much")" -gt 1000000 ] && echo yes)" yes
}

# --- without a project quota ---
mkdir "$dir/state"
mount -t tmpfs -o size=400m,mode=755 none "$dir/state"
instance_up "the instance starts"
is "doctor says that there is no quota" "$(row present)" false
bombs memory
status "a limit of a home of mode direct is refused" 7 ash agent install "$(agent direct true $'trust_level: trusted\nhome: {mode: direct}\nresources: {disk: 2Mi}')"
like "by the mechanism's name and with the remedy" "$err" 'lacks disk .*prjquota'
install direct 'head -c 9000000 /dev/zero >$HOME/f' $'trust_level: trusted\nhome: {mode: direct}'
status "one without a limit of its own runs" 0 ash agent run direct
sed -i '$a degraded: [disk]' "$dir/agentd.yaml"
ash reload >/dev/null
install free 'head -c 9000000 /dev/zero >$HOME/f && echo wrote' 'resources: {disk: 2Mi}'
is "root may accept that nothing is bounded" "$(ash agent run free)" wrote
like "and the session says so" "$(grep "free: goes without" "$dir/agentd.log")" 'goes without disk'
sed -i '$d' "$dir/agentd.yaml"
ash reload >/dev/null

# What is in memory counts for the session's memory: it ends as out of memory, and the home is as
# that outcome says.
install heavy 'cd; echo kept >kept; head -c 200000000 /dev/zero >much && echo not >reached' 'resources: {disk: 512Mi, memory_limit: 64Mi}'
status "a session that writes more than its memory is killed" 137 ash agent run heavy
is "is out of memory" "$(ash --json session show heavy@latest | jq -r .outcome)" oom_killed
is "and its home is committed whole" "$(cat "$homes/heavy/home/kept") $(names "$homes/heavy/home")" "kept AGENTS.md CLAUDE.md kept much "
# A disk with less room than the session was let write.
install crowd 'cd; head -c 700000 /dev/zero >one; head -c 120000000 /dev/zero >two; echo ran' 'resources: {disk: 256Mi}'
head -c $((($(stat -f -c '%a * %S' "$dir/state")) - 100000000)) /dev/zero >"$dir/state/filler"
status "a session whose changes do not fit on the disk ends as it ended" 0 ash agent run crowd
like "and says that they do not" "$(ash --json session show crowd@latest | jq -r .reason)" 'No space left.*discarded'
is "its home is the old one" "$(names "$homes/crowd/home")" "AGENTS.md CLAUDE.md "
check "and nothing of them is left on the disk" eventually 10 is_tidy crowd
rm -f "$dir/state/filler"
status "with room it is committed" 0 ash agent run crowd
is "whole" "$(stat -c %s "$homes/crowd/home/two")" 120000000

# --- killed, with a layer in memory ---
# Let go by a file and not by a FIFO: the end comes right after the session said that it is ready.
gate_context="context: [{source: $dir/gate, target: /context/gate}]"
gate_wait='until [ -e /context/gate/open ]; do sleep 0.05; done;'
gate_shut() { rm -f "$dir/gate/open"; }
gate_open() { : >"$dir/gate/open"; }
install one "cd || exit 9; if [ -e f1 ]; then i=0; while [ \$i -lt 6000 ]; do i=\$((i + 1)); echo two >f\$i; done
else i=0; while [ \$i -lt 6000 ]; do i=\$((i + 1)); : >f\$i; done; fi; echo ready; $gate_wait exit 4" "$gate_context
resources: {disk: 256Mi}"
now() { (cd "$homes/one/home" && find . -printf '%P %s %T@\n' | sort | cksum); }
new() { find "$homes/one/home" -name 'f*' -size 4c | wc -l; }
begin() {
	gate_shut
	id=$(ash agent run one --detach)
	eventually 60 eval 'ash session logs "$id" | grep -q ready' || fail "the session runs"
	runnerd=$(daemon runnerd) spawner=$(daemon spawner)
}
outcome() { ash --json session show "$id" | jq -r '[.state, .outcome, .exit_code] | join(" ")'; }
settle() { check "$1: nothing else is left" eventually 30 is_tidy one; }

begin
gate_open
status "a home of 6,000 files" 4 ash session wait "$id"
before=$(now)
begin
kill -9 "$(daemon keeper)" "$(daemon runnerd)"
gate_open
status "keeper and runnerd killed while it runs: 125" 125 ash session wait "$id"
is "lost" "$(outcome | cut -d' ' -f1-2)" "ended lost"
is "and the home is the old one" "$(now)" "$before"
settle "keeper and runnerd killed"

# caught: $homekeeper, stopped while it brings the layer to the disk. Nothing is started for it, or it
# would come too late.
caught() {
	local until=$((SECONDS + 60 * factor)) child children
	homekeeper=''
	until [ -e "$homes/one/session/copy" ]; do [ $SECONDS -lt $until ] || return 1; done
	read -r -a children <"/proc/$runnerd/task/$runnerd/children"
	for child in "${children[@]}"; do [ "$child" = "$spawner" ] || homekeeper=$child; done
	[ -n "$homekeeper" ] && kill -STOP "$homekeeper" && [ -e "$homes/one/session/copy" ]
}
begin
gate_open
caught && kill -9 "$(daemon keeper)" "$runnerd" "$homekeeper"
status "keeper, runnerd and homekeeper killed while the layer is brought to the disk: 125" 125 ash session wait "$id"
is "lost, with what the agent ended as" "$(outcome)" "ended lost 4"
like "and the reason" "$(ash session why "$id")" 'was in memory'
is "the home is the old one, whole" "$(now)" "$before"
settle "all three killed"

# again TEXT PID…: killed at that moment, and the session is what it was.
again() {
	local text=$1
	shift
	kill -9 "$@"
	kill -CONT "$homekeeper" 2>/dev/null
	status "$text killed: what it did is done again" 4 ash session wait "$id"
	is "as the agent ended" "$(outcome)" "ended failed 4"
	is "and the home is the new one" "$(new)" 6000
	settle "$text killed"
	ash home rollback one "$id" >/dev/null || fail "it is undone"
	is "undone" "$(now)" "$before"
}
for victims in '$homekeeper' '$runnerd' '$runnerd $homekeeper' '$(daemon keeper)' '$(daemon keeper) $homekeeper' '$spawner'; do
	begin
	gate_open
	caught || fail "the layer is seen on its way"
	# shellcheck disable=SC2086
	eval "again '${victims//[$()]/}' $victims"
done

# The keeper is asked to stay by nothing but what it holds.
begin
gate_open
caught || fail "the layer is seen on its way"
status "while the layer is on its way nobody else has the home" 5 ash home rollback one "$(ash --json home log one | jq -r '.[0].session')"
check "and the keeper holds it" daemon keeper
status "a second homekeeper would find the home's directory locked" 1 flock -n "$homes/one" true
is "the session is not ended" "$(outcome)" "running  "
kill -CONT "$homekeeper"
status "then it is" 4 ash session wait "$id"
ash home rollback one "$id" >/dev/null || fail "it is undone"

# The session ends while no daemon lives: its keeper holds the layer until there is one.
begin
mapfile -t pids < <(processes | awk '$2 ~ /^(agentd|agentd-control|schedd|secretd|runnerd|spawner)$/ { print $1 }')
kill -KILL "${pids[@]}"
wait "$agentd_pid" 2>/dev/null
agentd_pid=''
gate_open
check "all killed: the session ends by itself" eventually 20 test -s "$dir/state/sessions/$id/exit"
is "only its keeper is left" "$(processes | cut -d' ' -f2 | sort -u)" keeper
instance_up "agentd starts again"
status "the session is what it was" 4 ash session wait "$id"
is "and the home is the new one" "$(new)" 6000
settle "all killed"
check "no keeper is left" eventually 10 eval '! daemon keeper'
is "no mount of a session is left in a namespace of a daemon" \
    "$(grep -cE 'overlay|/layers' "/proc/$(daemon runnerd)/mountinfo" "/proc/$(daemon spawner)/mountinfo" | grep -v ':0$' | grep -v "$(grep -c overlay /proc/self/mountinfo)$")" ""
instance_stop
umount "$dir/state"

# --- under a project quota ---
quota_disk() {
	truncate -s 256M "$dir/disk.img"
	mkfs.ext4 -q -O quota,project -E quotatype=prjquota -I 256 "$dir/disk.img" || return 1
	mount -o loop,prjquota "$dir/disk.img" "$dir/state"
}
if ! said=$(quota_disk 2>&1); then
	skip "a project quota" "no ext4 with one can be mounted here: $(head -n 1 <<<"$said")"
	exit 0
fi
instance_up "the instance starts on a file system with project quotas"
is "doctor says so" "$(row present)" true
bombs quota
install direct "$bomb" $'trust_level: trusted\nhome: {mode: direct}\nresources: {disk: 2Mi}'
cp "$BUILD/tests/escape/disk" "$dir/agents/direct/"
held "a home of mode direct: a disk bomb" direct bytes /home/agent
held "and an inode bomb" direct inodes /home/agent
install mixed 'cd; mkdir -p d/e; echo $SCARAB_TASK >d/e/f; mv d/e/f d/g' 'home: {history: 10}'
for i in 1 2 3; do status "homes under a quota are merged, $i" 0 ash agent run mixed --task $i; done
status "and rolled back" 0 ash home rollback mixed "$(ash --json home log mixed | jq -r '.[-2].session')"
is "to what they were" "$(cat "$homes/mixed/home/d/g")" 1
install late "$bomb" $'trust_level: trusted\nhome: {mode: direct}'
ash agent remove late >/dev/null
mkdir -p "$homes/late/home"
echo old >"$homes/late/home/file"
install late 'true' $'trust_level: trusted\nhome: {mode: direct}\nresources: {disk: 2Mi}'
status "a home that is older than the quota is refused in mode direct: 125" 125 ash agent run late
like "and the reason says what to do" "$(ash session why late@latest)" 'chattr -R -p'
instance_stop
umount "$dir/state"

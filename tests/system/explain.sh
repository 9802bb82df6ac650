#!/bin/bash
# ash explain and ash agent show say what a session really gets: mounts with their flags and sizes,
# id maps, limits, namespaces, privileges. A manifest is explained before it is installed, also
# without agentd, and nothing that it names is opened.
# shellcheck disable=SC2154
. "$(dirname "$0")/lib.sh"
instance_new ''
cat >>"$dir/agentd.yaml" <<YAML
defaults: {max_open_files: 512, timeout_secs: 77}
ceilings: {allowed_context: [$dir/context], allowed_images: [$dir/images]}
YAML
instance_up "the instance starts"
mkdir "$dir/context"
echo one >"$dir/context/file"

# Facts of the running session, as lines "KIND …", in the words of explain.
# shellcheck disable=SC2016
look='while read -r _ _ _ _ target flags rest; do
	words=; type=" $rest"; type=${type##* - }
	for word in ro rw nosuid nodev noexec; do case ,$flags, in *,$word,*) words=$words,$word ;; esac; done
	echo "mount $target ${words#,} ${type%% *}"
done </proc/self/mountinfo
read -r a b c </proc/self/uid_map; echo "uid_map $a $b $c"
read -r a b c </proc/self/gid_map; echo "gid_map $a $b $c"
echo "nofile $(ulimit -n)"
grep -E "^(Cap|NoNewPrivs|Seccomp|Uid|Gid)" /proc/self/status | sed "s/^/status /"
for name in mnt pid net ipc uts cgroup user; do echo "namespace $name $(readlink /proc/self/ns/$name)"; done
for target in / /tmp /dev /dev/shm /run /run/agent /home/agent; do echo "size $target $(stat -f -c "%b %S" $target)"; done
for try in "unshare -U true" "chroot / true"; do $try 2>&1 | sed "s/^/refused /"; done'

# compare NAME: explain's object in $dir/NAME.json with what its session sees.
compare() {
	local name=$1 seen=$dir/$1.seen json=$dir/$1.json
	ash --json explain "$name" >"$json" || fail "$name is explained"
	ash agent run "$name" >"$seen" 2>"$seen.err" || fail "$name runs: $(cat "$seen.err")"
	is "$name: mounts and their flags" "$(jq -r '.mounts[] | "\(.target) \(.flags | join(","))"' "$json" | sort)" \
	    "$(grep '^mount ' "$seen" | outermost "$json" | awk '{ print $2, $3 }' | sort)"
	is "$name: file systems" "$(jq -r '.mounts[] | select(.type != "bind") | "\(.target) \(.type)"' "$json" | sort)" \
	    "$(jq -r '.mounts[] | select(.type != "bind") | .target' "$json" | while read -r target; do
		awk -v t="$target" '$1 == "mount" && $2 == t { print $2, $4 }' "$seen"
	    done | sort)"
	is "$name: sizes" "$(jq -r '.mounts[] | select(.size_bytes) | "\(.target) \(.size_bytes)"' "$json" | sort)" \
	    "$(jq -r '.mounts[] | select(.size_bytes) | .target' "$json" | while read -r target; do
		awk -v t="$target" '$1 == "size" && $2 == t { printf "%s %.0f\n", $2, $3 * $4 }' "$seen"
	    done | sort)"
	for map in uid_map gid_map; do
		is "$name: $map" "$(jq -r ".${map}[] | \"\(.inside) \(.outside) \(.count)\"" "$json")" \
		    "$(sed -n "s/^$map //p" "$seen")"
	done
	is "$name: open files" "$(jq -r .max_open_files "$json")" "$(sed -n 's/^nofile //p' "$seen")"
	is "$name: user and group" "$(jq -r '"\(.privileges.uid) \(.privileges.gid)"' "$json")" \
	    "$(sed -n 's/^status [UG]id:\t\([0-9]*\).*/\1/p' "$seen" | tr '\n' ' ' | sed 's/ $//')"
	is "$name: no capability" "$(jq -r '.privileges.capabilities | length' "$json")" \
	    "$(grep -E '^status Cap(Inh|Prm|Eff|Bnd|Amb):' "$seen" | grep -cv '0000000000000000$')"
	is "$name: no_new_privs and a filter" "$(jq -r '.privileges.no_new_privs' "$json")" \
	    "$(grep -cE '^status (NoNewPrivs:.1|Seccomp:.2)$' "$seen" | sed 's/^2$/true/')"
	is "$name: namespaces of its own" "$(jq -r '.namespaces[]' "$json" | sort | tr '\n' ' ')" \
	    "$(sed -n 's/^namespace //p' "$seen" | while read -r space id; do
		[ "$id" = "$(readlink "/proc/self/ns/$space")" ] || echo "$space"
	    done | sort | tr '\n' ' ')"
	is "$name: agent show carries the same" "$(ash --json agent show "$name" | jq -cS .sandbox)" "$(jq -cS . "$json")"
}
# Without what lies below a view of a whole tree of the host.
outermost() {
	local json=$1 line target view
	while read -r line; do
		target=${line#mount }
		target=${target%% *}
		for view in $(jq -r '.mounts[] | select(.type == "bind") | .target' "$json"); do
			[[ $target == "$view"/* ]] && jq -e --arg t "$target" 'all(.mounts[]; .target != $t)' "$json" >/dev/null && continue 2
		done
		echo "$line"
	done
}

mkdir -p "$dir/agents/full/skills/notes"
printf -- '---\nname: notes\ndescription: Keeps notes.\n---\n' >"$dir/agents/full/skills/notes/SKILL.md"
spec="context: [{source: $dir/context, target: /context/one}, {source: $dir/context/file, target: /context/file}]
skills: [skills/notes]
lifecycle: {timeout_secs: 5, stop_grace: 3s}"
manifest=$(agent full "$look" "$spec")
ash --json explain "$manifest" >"$dir/before.json" || fail "a manifest is explained"
install full "$look" "$spec"
compare full
is "before the install it was the same but for its ids" \
    "$(jq -cS 'del(.first_uid, .uid_map, .gid_map)' "$dir/before.json")" \
    "$(jq -cS 'del(.first_uid, .uid_map, .gid_map)' "$dir/full.json")"
is "which nobody has yet" "$(jq -c '[.first_uid, .uid_map[0].outside]' "$dir/before.json")" '[null,null]'
is "a limit of the manifest, and whose it is" "$(jq -c '.limits[] | select(.name == "timeout_ms")' "$dir/full.json")" \
    '{"name":"timeout_ms","value":5000,"from":"manifest","key":"spec.lifecycle.timeout_secs"}'
is "a limit of agentd.yaml" "$(jq -c '.limits[] | select(.name == "max_open_files")' "$dir/full.json")" \
    '{"name":"max_open_files","value":512,"from":"agentd.yaml","key":"defaults.max_open_files"}'
is "skills" "$(jq -c '.skills' "$dir/full.json")" \
    "[{\"name\":\"notes\",\"there\":true,\"source\":\"$dir/agents/full/skills/notes\",\"description\":\"Keeps notes.\"}]"
is "context" "$(jq -c '.context[0]' "$dir/full.json")" "{\"source\":\"$dir/context\",\"target\":\"/context/one\"}"
is "ceilings" "$(jq -c '.ceilings.allowed_context' "$dir/full.json")" "[\"$dir/context\"]"
for call in unshare chroot; do
	# shellcheck disable=SC2016
	check "$call is told to be refused" jq -e --arg c $call '.syscalls.refused | index($c)' "$dir/full.json"
done
is "and is" "$(grep -cE '^refused .*(Operation not permitted|permission denied)' "$dir/full.seen")" 2

for mode in none direct; do
	install "home-$mode" "$look" "home: {mode: $mode}
$([ $mode = none ] || echo 'trust_level: trusted')"
	compare "home-$mode"
done
busybox=$(PATH=/usr/bin:/bin command -v busybox) || skip "an image" "busybox is not installed"
if [ -n "$busybox" ]; then
	mkdir -p "$dir/images/box/bin"
	cp "$busybox" "$dir/images/box/bin/busybox"
	for name in sh grep sed stat readlink unshare chroot true; do ln -s busybox "$dir/images/box/bin/$name"; done
	install image "$look" "image: dir:$dir/images/box"
	compare image
fi
manifest=$(agent imageless true "image: dir:$dir/images/none")
status "an image that is not there is explained: it is not opened" 0 ash --json explain "$manifest"
is "as what it would be" "$(echo "$out" | jq -c '.mounts[0] | [.target, .source, .type]')" "[\"/\",\"$dir/images/none\",\"overlay\"]"
install small "$look" 'trust_level: untrusted'
is "an untrusted one has less" "$(ash --json explain small | jq -c '[.seccomp, .home, .syscalls.profile]')" '["smallest","none","smallest"]'
is "absent keys have the values that hold" "$(ash --json agent show small | jq -c '.sandbox | [.timeout_ms, .stop_grace_ms, .max_open_files]')" '[77000,10000,512]'

# --- before an install -----------------------------------------------------------------------------
manifest=$(agent above true 'context: [{source: /root, target: /context/x}]')
status "what the ceilings forbid is explained" 0 ash --json explain "$manifest"
like "with the reason" "$(echo "$out" | jq -r .refused)" '/root is outside ceilings.allowed_context'
manifest=$(agent missing true "context: [{source: $dir/context/none, target: /context/x}]")
status "what is not there is explained: nothing is opened" 0 ash --json explain "$manifest"
is "and not refused" "$(echo "$out" | jq -r '.refused, .mounts_incomplete' | tr '\n' ' ')" "null null "
manifest=$(agent odd true 'comand: x')
status "a bad manifest is not" 7 ash explain "$manifest"
status "neither is who is not there" 3 ash explain nobody
ash explain full >"$dir/text" || fail "explain prints for people"
for word in 'Trust level: *sandboxed' 'Uid map' "/home/agent .*overlay" '/skills/notes' 'timeout_ms *5.0 s *manifest' 'Refused: .*ptrace' 'Allowed context: '; do
	check "for people: $word" grep -qE "$word" "$dir/text"
done

# --- without agentd -----------------------------------------------------------------------------------
manifest=$dir/agents/full/manifest.yaml
status "without agentd a manifest is explained too" 0 "$BUILD/ash" -s "$dir/none.sock" --json explain "$manifest"
is "with the defaults" "$(echo "$out" | jq -c '[.configuration, .max_open_files, .ceilings.trust_level]')" '["defaults",1024,"trusted"]'
is "with the same mounts" "$(echo "$out" | jq -cS '.mounts | map(del(.source))')" \
    "$(jq -cS '.mounts | map(del(.source))' "$dir/full.json")"
status "for people too" 0 "$BUILD/ash" -s "$dir/none.sock" explain "$manifest"
like "which it says" "$err" 'agentd does not answer: explained under the defaults of agentd.yaml'
status "without agentd nobody knows an agent" 6 "$BUILD/ash" -s "$dir/none.sock" explain full

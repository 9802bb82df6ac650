#!/bin/bash
# Images that mean no good (tests/image/hostile.py): each is refused by name or made harmless. Nothing
# outside the store is touched, and of one that is refused nothing is left in it.
# timeout: 300
# shellcheck disable=SC2016,SC2154
. "$(dirname "$0")/lib.sh"
need_root "hostile images"
instance_new
mkdir "$dir/images" "$dir/outside"
echo "ceilings: {allowed_images: [$dir/images]}" >>"$dir/agentd.yaml"
store=$dir/state/images/store
canary=$dir/outside/canary
echo alive >"$canary"
chmod 0644 "$canary"
PYTHONDONTWRITEBYTECODE=1 python3 "$root/tests/image/hostile.py" "$dir/images" "$canary" >"$dir/corpus" ||
	fail "the corpus is made"
instance_up "the instance starts"
outside() { find "$dir/outside" /dev/null -printf '%p %i %m %U %s %T@ ' -exec cksum {} + | sha256sum; }
before=$(outside)
# What is deleted is deleted by a process that nobody waits for.
in_store() { find "$store" -mindepth 2 -maxdepth 2 ! -name '.purged-*' | sort; }
swept() { [ -z "$(find "$store/work" -mindepth 1)" ]; }
runnerd=$(daemon runnerd)

# IMAGES=REGEX: only these.
while IFS=$'\t' read -r name becomes why; do
	[[ $name =~ ${IMAGES:-.} ]] || continue
	ash image add "$dir/images/$name" >"$dir/out" 2>"$dir/err" </dev/null
	code=$?
	err=$(tr -d '\0' <"$dir/err")
	case $becomes in
	refused)
		if [ "$code" -eq 7 ] && [[ $err =~ $why ]]; then ok "$name is refused"; else
			fail "$name is refused: $why"
			note "exit status $code: ${err:0:500}"
		fi
		[ -z "$(in_store)" ] || {
			fail "$name leaves nothing"
			note "$(in_store)"
		}
		;;
	kept)
		if [ "$code" -eq 0 ]; then ok "$name does no harm"; else
			fail "$name does no harm"
			note "exit status $code: ${err:0:500}"
		fi
		find "$store/layers" -perm /6000 -o -type b | grep . && fail "$name: set-id bits or devices are in the store"
		find "$store/layers" -type c -printf '%l%p\n' -exec stat -c '%t:%T' {} + | grep -E '^[0-9a-f]+:' | grep -v '^0:0$' &&
			fail "$name: a device is in the store"
		python3 - "$store/layers" <<-'PY' || fail "$name: attributes are in the store"
			import os, sys
			for top, dirs, files in os.walk(sys.argv[1]):
			    for name in dirs + files:
			        path = os.path.join(top, name)
			        if not os.path.islink(path):
			            for key in os.listxattr(path, follow_symlinks=False):
			                allowed = key == "user.kept" or key == "trusted.overlay.opaque" and name == "a" and os.path.isdir(path)
			                if not allowed:
			                    sys.exit(path + " " + key)
		PY
		ash image gc >/dev/null || fail "$name is removed"
		;;
	esac
done <"$dir/corpus"
is "nothing outside the store was touched" "$(outside)" "$before"
is "the store is as at the beginning" "$(in_store)" ""
check "what was discarded is deleted" eventually 20 swept
is "no daemon died" "$(daemon runnerd)" "$runnerd"
is "nothing of them is left running" "$(processes | grep -c ' unpack$')" 0

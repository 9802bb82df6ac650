#!/bin/bash
# The runtime container on this kernel: an image of one static program, its layers below one of the
# session's own, and a home that stays.
# shellcheck disable=SC2016,SC2154,SC2317
. "$(dirname "$0")/lib.sh"

tree=/srv/tree
mkdir -p $tree/bin $tree/usr/share /srv/images
cp /bin/busybox $tree/bin/busybox
for name in sh cat id ls echo; do ln -s busybox $tree/bin/$name; done
echo below >$tree/usr/share/word
check "a layout of it" python3 tests/image/make.py root $tree /srv/images/box
agent boxed ':' 'runtime: container
image: "oci:/srv/images/box"
args: ["-c", "id -u; cat /usr/share/word; n=$(cat ~/n 2>/dev/null || echo 0); n=$((n + 1)); echo $n >~/n; cat ~/n; echo above >/usr/share/word; cat /usr/share/word; cat /proc/self/status | while read -r k v; do [ $k != CapPrm: ] || echo $v; done"]
command: /bin/sh
resources: {memory_limit: 64Mi, max_pids: 20}'
for n in 1 2; do
	status "a container runs ($n)" 0 ash agent run boxed
	is "as root of its own without rights, on its image as it was, in its home" "$(tr '\n' ' ' <<<"$out")" "0 below $n above 0000000000000000 "
done
like "the digest is in its record" "$(ash --json agent show boxed | jq -c '.sandbox | [.runtime, .image_layers]')" '\["container",1\]'
rm -rf $tree
exit $failed

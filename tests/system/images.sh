#!/bin/bash
# Images of the store: from layouts and archives of every kind, found by tag and machine, unpacked
# once however often they come, listed, shown, removed when nobody uses them.
# timeout: 180
# shellcheck disable=SC2016,SC2154
. "$(dirname "$0")/lib.sh"
need_root "images of the store"
instance_new
images=$dir/images store=$dir/state/images/store
mkdir "$images" "$dir/other"
echo "ceilings: {allowed_images: [$images]}" >>"$dir/agentd.yaml"
export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$root/tests/image

# --- one image in every form ---------------------------------------------------------------------
python3 - "$images" "$dir/other" <<'PY'
import gzip, json, os, subprocess, sys, tarfile
from make import *
where, other = sys.argv[1:]
D = tarfile.DIRTYPE
base = tar([entry("etc", D), entry("etc/passwd", data=b"root:x:0:0::/:/bin/sh\napp:x:123:45::/:/bin/sh\n"),
            entry("etc/group", data=b"app:x:46:\n"), entry("d", D, mode=0o1777), entry("d/a", data=b"a" * 5000, mtime=1000000000),
            entry("d/l", tarfile.SYMTYPE, linkname="../../../etc/passwd", uid=7, gid=8),
            entry("d/h", tarfile.LNKTYPE, linkname="d/a"), entry("gone", data=b"x"), entry("sub", D), entry("sub/x", data=b"x")])
top = tar([entry(".wh.gone"), entry("sub", D), entry("sub/.wh..wh..opq"), entry("sub/y", data=b"y"),
           entry("bin/app", data=b"#!", mode=0o755, uid=123, gid=45)])
config = {"Env": ["PATH=/bin", "A=b=c"], "Entrypoint": ["/bin/app"], "Cmd": ["one", "two words"], "User": "app:app",
          "WorkingDir": "/d", "StopSignal": "SIGINT"}
def zstd(data):
    return subprocess.run(["zstd", "-q", "-c"], input=data, stdout=subprocess.PIPE, check=True).stdout
for name, pack in (("plain", None), ("gzip", "gzip"), ("zstd", zstd)):
    made = Layout()
    made.image([base, top], tag="v1", config=config, pack=pack)
    made.write(os.path.join(where, name))
    made.archive(os.path.join(where, name + ".tar"))
    made.archive(os.path.join(where, name + ".tar.gz"), gzip.compress)
    made.archive(os.path.join(where, name + ".tar.zst"), zstd)
made.write(os.path.join(other, "gzip"))
os.symlink("plain", os.path.join(where, "link"))
# Two tags, one of them for several machines.
two = Layout()
two.image([base], tag="small", pack="gzip")
own = two.image([base, top], pack="gzip", config=config)
two.manifests.pop()
foreign = two.blob(b"{}", MANIFEST)
index = {"schemaVersion": 2, "manifests": [dict(foreign, platform={"os": "linux", "architecture": "s390x"}),
                                           dict(own, platform={"os": "linux", "architecture": MACHINE})]}
by = two.blob(json.dumps(index).encode(), "application/vnd.oci.image.index.v1+json")
by["annotations"] = {TAG: "big"}
two.manifests.append(by)
two.write(os.path.join(where, "two"))
# As docker save writes it: layers uncompressed, one of them a link to another.
document = json.dumps({"architecture": MACHINE, "os": "linux", "config": config, "rootfs": {
    "type": "layers", "diff_ids": ["sha256:" + sha(base), "sha256:" + sha(top), "sha256:" + sha(base)]}}).encode()
manifest = json.dumps([{"Config": sha(document) + ".json", "RepoTags": ["app:v1"],
                        "Layers": ["one/layer.tar", "two/layer.tar", "three/layer.tar"]}]).encode()
with open(os.path.join(where, "saved.tar"), "wb") as stream:
    stream.write(tar([entry(sha(document) + ".json", data=document), entry("one/layer.tar", data=base),
                      entry("two/layer.tar", data=top), entry("three/layer.tar", tarfile.SYMTYPE, linkname="../one/layer.tar"),
                      entry("manifest.json", data=manifest)]))
# The same bytes: in a layout a manifest, in an archive of docker's a configuration, of other layers.
evil = tar([entry("bin/app", data=b"#!other", mode=0o755)])
both = Layout()
both.image([base], config=config)
document = json.loads(both.blobs[both.manifests.pop()["digest"][7:]])
document.update(architecture=MACHINE, os="linux", rootfs={"type": "layers", "diff_ids": ["sha256:" + sha(evil)]})
document["config"]["Entrypoint"] = ["/bin/other"]
document = json.dumps(document).encode()
both.manifests.append(both.blob(document, MANIFEST))
both.write(os.path.join(where, "both"))
manifest = json.dumps([{"Config": sha(document) + ".json", "Layers": ["layer.tar"]}]).encode()
with open(os.path.join(where, "both.tar"), "wb") as stream:
    stream.write(tar([entry(sha(document) + ".json", data=document), entry("layer.tar", data=evil),
                      entry("manifest.json", data=manifest)]))
PY
instance_up "the instance starts"
# tree: what the store has, without times of directories.
tree() { (cd "$store/layers" && find . -printf '%P %y %m %U:%G %l ' \( -type f -exec cksum {} \; -o -printf '\n' \)) | sort; }
added() { jq -r '"\(.layers) \(.architecture != null) \(.user) \(.uid):\(.gid) \(.working_dir) \(.env | join(",")) \(.entrypoint + .cmd | join(","))"' <<<"$1"; }

status "a layout is brought in" 0 ash --json image add "$images/plain:v1"
plain=$(jq -r .digest <<<"$out")
like "and named by its manifest" "$plain" '^sha256:[0-9a-f]{64}$'
is "by the digest of that file" "$(sha256sum <"$images/plain/blobs/sha256/${plain#*:}")" "${plain#*:}  -"
is "its record says what it runs" "$(added "$(ash --json image show "$plain")")" \
    "2 true app:app 123:46 /d PATH=/bin,A=b=c /bin/app,one,two words"
tree >"$dir/tree"
cd "$store/layers"/*/root/d/.. || fail "the lower layer is there"
is "owners, modes and links are the image's" "$(stat -c '%n %a %u:%g %h %N' d d/a d/l d/h | tr '\n' ';')" \
    "d 1777 0:0 2 'd';d/a 644 0:0 2 'd/a';d/l 777 7:8 1 'd/l' -> '../../../etc/passwd';d/h 644 0:0 2 'd/h';"
is "and times of files" "$(stat -c %Y d/a)" 1000000000
cd "$store/layers"/*/root/bin/.. || fail "the upper layer is there"
is "a whiteout is an overlay's" "$(stat -c '%F %t:%T' gone)" "character special file 0:0"
is "an opaque directory, too" "$(python3 -c 'import os; print(os.getxattr("sub", "trusted.overlay.opaque").decode())')" y
cd "$dir" || exit 1
mkdir "$dir/merged"
upper=("$store/layers"/*/root/bin) lower=("$store/layers"/*/root/d)
if mount -t overlay overlay -o "ro,lowerdir=${upper[0]%/bin}:${lower[0]%/d}" "$dir/merged" 2>/dev/null; then
	is "layers are one tree when they lie over each other" "$(cd "$dir/merged" && find . | sort | tr '\n' ' ')" \
	    ". ./bin ./bin/app ./d ./d/a ./d/h ./d/l ./etc ./etc/group ./etc/passwd ./sub ./sub/y "
	umount "$dir/merged"
else
	skip "layers over each other" "no overlay can be mounted here"
fi

# --- the same in other forms -----------------------------------------------------------------------
ids() { stat -c '%n %i' "$store"/layers/*; }
before=$(ids)
for form in plain.tar plain.tar.gz plain.tar.zst gzip gzip.tar:v1 gzip.tar.zst zstd zstd.tar.gz two:big saved.tar:v1; do
	status "$form" 0 ash --json image add "$images/$form"
	jq -r .digest <<<"$out" >>"$dir/digests"
done
is "no layer was unpacked twice" "$(ids)" "$before"
is "nor changed" "$(tree)" "$(cat "$dir/tree")"
is "archives of a layout are the same image" "$(sort "$dir/digests" | uniq -c | awk '{ print $1 }' | sort -n | tr '\n' ' ')" "1 2 3 4 "
is "list has each once" "$(ash --json image list | jq length)" 4
like "with a line for people" "$(ash image list)" "DIGEST +SIZE +LAYERS +USED-BY +REFERENCE +CREATED"
like "and the newest reference" "$(ash image list | tr -s ' ')" "${plain:7:12} .* - .*plain.tar.zst \\+3"
status "a tag chooses" 0 ash --json image add "$images/two:small"
is "another image" "$(jq -r .layers <<<"$out")" 1
is "what images share is not counted as their own" "$(jq -r .own_bytes <<<"$out")" 0

# --- references --------------------------------------------------------------------------------------
status "a digest's beginning" 0 ash --json image show "${plain:7:12}"
status "a reference" 0 ash image show "oci:$images/plain:v1"
like "for people" "$out" "User: +app:app \\(123:46\\)"
status "no such image" 3 ash image show 0000000000000000
status "the beginning of nothing" 3 ash image show ''
status "no such tag" 3 ash image add "$images/two:nothing"
like "says so" "$err" "has no image with the tag nothing"
status "several images and no tag" 7 ash image add "$images/two"
like "says how to choose" "$err" "name one by its tag"
status "a path outside of the ceiling" 4 ash image add "$dir/other/gzip"
like "says which" "$err" "outside ceilings.allowed_images"
status "a registry that no ceiling allows" 4 ash image add "oci:$dir/other/gzip"
status "no such path" 3 ash image add "$images/nothing"
is "a link is named as the host sees it" "$(ash --json image add "$images/link" | jq -r '.references[-1]')" "oci:$images/plain"

# --- one digest, one image ---------------------------------------------------------------------------
status "bytes that are a manifest and a configuration, as a layout" 0 ash --json image add "$images/both"
both=$(jq -r .digest <<<"$out") first=$(ash --json image show "$(jq -r .digest <<<"$out")")
status "as an archive of docker's they are another image" 7 ash image add "$images/both.tar"
like "which is refused" "$err" "the store has another image of the digest $both"
is "the first stays as it was" "$(ash --json image show "$both")" "$first"
status "and leaves" 0 ash image remove "$both"
is "with what came second" "$(ids)" "$before"

# --- a layout that is not all of one file system ---------------------------------------------------------
cp -r "$images/plain" "$images/joined"
if mount -t tmpfs tmpfs "$images/joined/blobs" 2>/dev/null; then
	cp -r "$images/plain/blobs/." "$images/joined/blobs"
	status "what is mounted in a layout is not read" 7 ash image add "$images/joined:v1"
	like "and said" "$err" "blobs/sha256/[0-9a-f]+ lies on another file system"
	umount "$images/joined/blobs"
else
	skip "a mount in a layout" "nothing can be mounted here"
fi

# --- what an operator may not read ---------------------------------------------------------------------
mkdir "$images/closed"
cp -r "$images/plain/." "$images/closed"
chmod 0600 "$images/closed"/blobs/sha256/*
if operator=$(command -v setpriv); then
	status "an operator brings what he may read" 0 "$operator" --reuid 65533 --regid "$((uid_base + 10))" --clear-groups \
	    "$BUILD/ash" -s "$sock" image add "$images/gzip"
	status "and nothing else" 4 "$operator" --reuid 65533 --regid "$((uid_base + 10))" --clear-groups \
	    "$BUILD/ash" -s "$sock" image add "$images/closed"
	like "root reads no file for him" "$err" "opening blobs/sha256/.*: [Pp]ermission denied"
else
	skip "an operator who is not root" "setpriv is not installed"
fi

# --- going away ------------------------------------------------------------------------------------------
status "an image is removed" 0 ash --json image remove "$plain"
is "by its digest" "$(jq -r .digest <<<"$out")" "$plain"
is "layers that others have stay" "$(ids)" "$before"
status "not twice" 3 ash image remove "$plain"
status "gc takes what nothing uses" 0 ash --json image gc
is "all of it" "$(jq length <<<"$out")" 4
is "layers too" "$(find "$store/layers" "$store/manifests" -mindepth 1)" ""
swept() { [ -z "$(find "$store/work" -mindepth 1)" ]; }
check "the trash is emptied" eventually 20 swept
for action in image.add image.remove image.gc; do
	like "$action is audited" "$(ash --json audit | jq -r ".[].action" | sort | uniq -c)" "$action"
done

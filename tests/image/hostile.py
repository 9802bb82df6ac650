#!/usr/bin/env python3
"""Images that mean no good, each in a directory or file of its own.

usage: hostile.py DIRECTORY CANARY

Prints a line for each: NAME, what must become of it (refused or kept), and of a refused one an
extended regular expression that its error matches, separated by tabs.
"""
import gzip
import io
import json
import os
import struct
import subprocess
import sys
import tarfile

sys.dont_write_bytecode = True
from make import CONFIG, LAYER, MANIFEST, Layout, entry, sha, tar  # noqa: E402

where, canary = sys.argv[1:]
DIR, LINK, HARD = tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
CHR, BLK, FIFO = tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE


def expect(name, becomes, why=""):
    print(name, becomes, why, sep="\t")


def image(name, becomes, why, *entries, form=tarfile.GNU_FORMAT):
    made = Layout()
    made.image([tar(entries, form)])
    made.write(os.path.join(where, name))
    expect(name, becomes, why)


def raw(name, becomes, why, layer, pack=None):
    made = Layout()
    made.image([layer], pack=pack)
    made.write(os.path.join(where, name))
    expect(name, becomes, why)


def link(name, target):
    return entry(name, LINK, linkname=target)


def hard(name, target):
    return entry(name, HARD, linkname=target)


DEEP = "../" * 40 + canary.lstrip("/")

# --- paths that lead out --------------------------------------------------------------------------
image("traversal", "refused", "leads upwards", entry(DEEP, data=b"owned"))
image("traversal-inside", "refused", "leads upwards", entry("a/../../b", data=b"owned"))
image("absolute", "kept", "", entry(canary, data=b"owned"))
image("slashes", "kept", "", entry("//" + canary, data=b"owned"), entry("./a/./b", data=b"x"))
image("link-absolute", "refused", "leads nowhere", link("out", os.path.dirname(canary)),
      entry("out/" + os.path.basename(canary), data=b"owned"))
image("link-up", "refused", "leads nowhere", link("out", "../" * 40 + os.path.dirname(canary).lstrip("/")),
      entry("out/" + os.path.basename(canary), data=b"owned"))
image("link-in-place", "kept", "", link("file", canary), entry("file", data=b"owned"))
image("link-to-directory", "kept", "", link("d", os.path.dirname(canary)), entry("d", DIR),
      entry("d/" + os.path.basename(canary), data=b"owned"))
image("link-through-links", "refused", "leads nowhere", link("a", "b"), link("b", "c"), link("c", os.path.dirname(canary)),
      entry("a/" + os.path.basename(canary), data=b"owned"))
image("link-within", "kept", "", entry(os.path.dirname(canary), DIR), link("a", "b"), link("b", "../../" + os.path.dirname(canary)),
      entry("a/" + os.path.basename(canary), data=b"owned"), entry("b/.wh." + os.path.basename(canary)))
image("link-loop", "refused", "circle", link("a", "b"), link("b", "a"), entry("a/file", data=b"x"))
image("link-self", "refused", "circle", link("a", "a"), entry("a/file", data=b"x"))
image("link-nowhere", "refused", "leads nowhere", link("a", "nothing"), entry("a/b/file", data=b"x"))
image("link-dev", "kept", "", link("dev", "/proc/self/fd"), link("proc", "/dev"), link("tmp", "/proc/1/root"))
image("file-as-directory", "refused", "no directory", entry("a", data=b"x"), entry("a/b", data=b"x"))
image("hard-out", "refused", "leads upwards", hard("mine", DEEP))
image("hard-absolute", "refused", "this layer has not", hard("mine", canary))
image("hard-over-link", "refused", "over a link", link("d", os.path.dirname(canary)),
      hard("mine", "d/" + os.path.basename(canary)))
image("hard-to-directory", "refused", "no file", entry("d", DIR), hard("mine", "d"))
image("hard-to-link", "kept", "", link("l", canary), hard("mine", "l"))
image("hard-to-nothing", "refused", "this layer has not", hard("mine", "nothing"))
image("hard-to-self", "kept", "", entry("a", data=b"x"), hard("a", "a"))
image("deep", "refused", "128 directories", entry("/".join(["d"] * 200), data=b"x"), form=tarfile.PAX_FORMAT)
image("long-name", "refused", "255 bytes", entry("n" * 300, data=b"x"))
image("long-path", "refused", "4095 bytes|128 directories", entry("/".join(["d" * 200] * 25), data=b"x"))
image("root-is-file", "refused", "root of the layer|damaged", entry("./", data=b"x"), entry(".", data=b"x"))

# --- what a layer may not have ----------------------------------------------------------------------
image("device-char", "refused", "is a device", entry("mem", CHR, devmajor=1, devminor=1))
image("device-block", "refused", "is a device", entry("etc/sda", BLK, devmajor=8, devminor=0))
image("device-whiteout", "refused", "is a device", entry("zero", CHR, devmajor=0, devminor=0))
image("device-in-dev", "kept", "", entry("dev", DIR), entry("dev/mem", CHR, devmajor=1, devminor=1),
      entry("dev/sda", BLK, devmajor=8, devminor=0))
image("set-ids", "kept", "", entry("bin/su", data=b"x", mode=0o6755), entry("bin", DIR, mode=0o3777))
image("fifo", "kept", "", entry("pipe", FIFO))
image("high-ids", "refused", "over 65535", entry("a", data=b"x", uid=65536))
image("huge-ids", "refused", "over 65535", entry("a", data=b"x", gid=2 ** 31))
image("attributes", "kept", "", *[entry("a%d" % i, data=b"x", pax_headers={"SCHILY.xattr." + key: value})
      for i, (key, value) in enumerate([("security.capability", "\1\0\0\2\0\4\0\0"), ("trusted.overlay.opaque", "y"),
                                        ("trusted.overlay.redirect", "/etc"), ("user.overlay.opaque", "y"),
                                        ("security.selinux", "x"), ("user.kept", "v")])], form=tarfile.PAX_FORMAT)
image("unknown-kind", "kept", "", entry("a", b"Z", data=b""), entry("b", b"6"))

# --- whiteouts --------------------------------------------------------------------------------------
for number, name in enumerate([".wh.", ".wh..", ".wh...", "d/.wh.", ".wh..wh.x", ".wh..wh.plnk"]):
    image("whiteout-%d" % number, "refused", "no whiteout", entry("d", DIR), entry(name))
image("whiteout-below", "refused", "below a whiteout", entry(".wh.a/b", data=b"x"))
image("whiteout-opaque-below", "refused", "below a whiteout", entry(".wh..wh..opq/b", data=b"x"))
image("whiteout-link", "refused", "leads nowhere", link("d", os.path.dirname(canary)), entry("d/.wh." + os.path.basename(canary)))
image("whiteout-twice", "kept", "", entry(".wh.a"), entry(".wh.a"), entry("a", DIR), entry("a/.wh..wh..opq"))

# --- names, doubles -----------------------------------------------------------------------------------
image("not-utf8", "refused", "not UTF-8|UTF-8", entry("a\udcff\udcfe", data=b"x"))
image("not-utf8-link", "kept", "", link("a", "\udcff\udcfe"))
image("overlong", "refused", "UTF-8", entry("a\udcc0\udcafb", data=b"x"))
image("control", "kept", "", entry("a\n\x1b[31mb", data=b"x"))
image("twice", "kept", "", entry("a", data=b"first"), entry("a", data=b"second"), link("a", "x"), entry("a", data=b"last"))
image("file-over-directory", "refused", "holds something", entry("d", DIR), entry("d/a", data=b"x"), entry("d", data=b"x"))
image("file-over-empty", "kept", "", entry("d", DIR), entry("d", data=b"x"), entry("d", DIR), entry("d/a", data=b"x"))

# --- bombs --------------------------------------------------------------------------------------------


def header(name, size):
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT)


def gzip_zeros(head, megabytes):
    """A gzip of head and zeros, whose megabytes are one compressed block repeated."""
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=9, mtime=0) as stream:
        stream.write(head)
        for _ in range(megabytes):
            stream.write(bytes(1 << 20))
    return out.getvalue()


def zstd(data):
    return subprocess.run(["zstd", "-q", "-19", "--long=27", "-c"], input=data, stdout=subprocess.PIPE, check=True).stdout


def bytes_as_layer(name, why, data, media):
    made = Layout()
    made.image([b""], diffs=["sha256:" + "0" * 64])
    config = made.manifests[0]
    manifest = json.loads(made.blobs[config["digest"][7:]])
    manifest["layers"] = [made.blob(data, media)]
    made.manifests = [made.blob(json.dumps(manifest).encode(), MANIFEST)]
    made.write(os.path.join(where, name))
    expect(name, "refused", why)


# One file that says it has more than an image may.
bytes_as_layer("bomb-gzip", "larger than an image", gzip_zeros(header("zeros", 1 << 40), 64), LAYER + "+gzip")
bytes_as_layer("bomb-zstd", "larger than an image", zstd(header("zeros", 1 << 40) + bytes(64 << 20)), LAYER + "+zstd")
bytes_as_layer("bomb-cut", "cut short|damaged|end here", gzip_zeros(header("zeros", 1 << 30), 8), LAYER + "+gzip")
# Gzip members one after the other. Devices below /dev are left out, so that only their number counts.
block = entry("dev/m", CHR, devmajor=1, devminor=1)[0].tobuf(tarfile.GNU_FORMAT) * 4096
bytes_as_layer("many-entries", "over 1048576 entries", gzip.compress(block, 9, mtime=0) * 260, LAYER + "+gzip")


def sparse(name, why, real, pieces):
    """GNU's old form: a file of real bytes, of which pieces (offset, bytes) are there."""
    info = tarfile.TarInfo("sparse")
    info.type = tarfile.GNUTYPE_SPARSE
    info.size = sum(length for _, length in pieces)
    head = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    for i, (offset, length) in enumerate(pieces):
        head[386 + 24 * i:410 + 24 * i] = b"%011o\0%011o\0" % (offset, length)
    head[483:495] = b"%011o\0" % real if real < 8 ** 11 else b"\x80" + bytes(3) + struct.pack(">Q", real)
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    body = bytes(info.size)
    layer = bytes(head) + body + bytes(-len(body) % 512) + bytes(1024)
    raw(name, "refused" if why else "kept", why, layer)


sparse("sparse-bomb", "larger than an image", 1 << 50, [(0, 512)])
sparse("sparse-beyond", "beyond its end|damaged|cut short|larger|no tar", 1 << 20, [(1 << 32, 512)])
sparse("sparse", "", 1 << 20, [(1 << 19, 512)])

# --- damaged ------------------------------------------------------------------------------------------
whole = tar([entry("a", data=b"x" * 5000)])
raw("cut-tar", "refused", "cut short|damaged|no tar|ends", whole[:1500])
raw("no-tar", "refused", "no tar", b"this is no tar, and long enough for a block of one" * 40)
raw("damaged-gzip", "refused", "uncompress|damaged|cut short|end here", whole,
    pack=lambda data: gzip.compress(data, mtime=0)[:-40])
raw("empty", "refused", "is empty", b"")


# --- documents ------------------------------------------------------------------------------------------
def changed(name, why, change, becomes="refused"):
    made = Layout()
    made.image([tar([entry("a", data=b"x")])], tag="one", pack="gzip")
    path = os.path.join(where, name)
    change(made)
    made.write(path)
    expect(name, becomes, why)
    return path


def blob_of(made, media):
    manifest = json.loads(made.blobs[made.manifests[0]["digest"][7:]])
    by = manifest["config"] if media == CONFIG else manifest["layers"][0] if media == LAYER else made.manifests[0]
    return by["digest"][7:]


def again(made, change):
    """The manifest once more, changed, and the index with it."""
    manifest = json.loads(made.blobs.pop(made.manifests[0]["digest"][7:]))
    change(manifest)
    made.manifests = [made.blob(json.dumps(manifest).encode(), MANIFEST)]


def config_as(data):
    def change(made):
        def put(manifest):
            manifest["config"] = made.blob(data, CONFIG)
        again(made, put)
    return change


def config_with(**more):
    def change(made):
        document = json.loads(made.blobs[blob_of(made, CONFIG)])
        document.update(more)
        config_as(json.dumps(document).encode())(made)
    return change


for what, media in (("manifest", MANIFEST), ("config", CONFIG), ("layer", LAYER)):
    def flip(made, media=media):
        digest = blob_of(made, media)
        made.blobs[digest] = made.blobs[digest][:-1] + b" "

    def longer(made, media=media):
        digest = blob_of(made, media)
        made.blobs[digest] += b" "

    def gone(made, media=media):
        del made.blobs[blob_of(made, media)]

    changed("wrong-digest-" + what, "digest|no JSON", flip)
    changed("wrong-size-" + what, "should have", longer)
    changed("missing-" + what, "is missing", gone)
changed("wrong-diff", "configuration gives", config_with(rootfs={"type": "layers", "diff_ids": ["sha256:" + "1" * 64]}))
changed("no-diff", "has 0 digests", config_with(rootfs={"type": "layers", "diff_ids": []}))
changed("no-digest", "no sha256 digest", lambda made: again(made, lambda m: m["layers"][0].update(digest="sha256:../../../etc/passwd")))
changed("other-digest", "no sha256 digest", lambda made: again(made, lambda m: m["layers"][0].update(digest="md5:0")))
changed("huge-size", "no size", lambda made: again(made, lambda m: m["layers"][0].update(size=10 ** 40)))
changed("negative-size", "no size", lambda made: again(made, lambda m: m["layers"][0].update(size=-1)))
changed("foreign-layer", "which is no tar", lambda made: again(made, lambda m: m["layers"][0].update(mediaType="application/x")))
changed("no-layers", "has no layers", lambda made: again(made, lambda m: m.update(layers=[])))
changed("many-layers", "over 127 layers", lambda made: again(made, lambda m: m.update(layers=m["layers"] * 1000)))
changed("other-machine", "is for s390", config_with(architecture="s390"))
changed("other-system", "is for windows", config_with(os="windows"))
changed("relative-directory", "no absolute path", config_with(config={"WorkingDir": "../.."}))
changed("unknown-user", "not in its /etc/passwd", config_with(config={"User": "nobody-here"}))
changed("many-variables", "over 4096", config_with(config={"Env": ["A=b"] * 10000}))
changed("long-variable", "no text of at most", config_with(config={"Env": ["A=" + "b" * 100000]}))
changed("nul-variable", "no text of at most", config_with(config={"Env": ["A=\0b"]}))
changed("json-deep", "no JSON", config_as(b"[" * 100000 + b"]" * 100000))
changed("json-cut", "no JSON", config_as(b'{"config": {'))
changed("json-number", "no object|no rootfs|names no", config_as(b"9" * 1000000))
changed("json-doubled", "twice", config_as(b'{"os":"linux","os":"windows"}'))
changed("json-huge", "at most 4194304", config_as(b" " * (5 << 20)))
changed("two-images", "holds 2 images", lambda made: made.image([tar([])], tag="two"))
changed("index-loop", "is missing|should have|digest", lambda made: made.manifests.__setitem__(0, {
    "mediaType": "application/vnd.oci.image.index.v1+json", "digest": "sha256:" + sha(b"x"), "size": 1}))


def relink(name, why, change):
    path = changed(name, why, lambda made: None)
    blobs = os.path.join(path, "blobs", "sha256")
    for blob in os.listdir(blobs):
        change(os.path.join(blobs, blob))


def to_link(path):
    os.rename(path, path + ".real")
    os.symlink(path + ".real", path)


def to_fifo(path):
    os.remove(path)
    os.mkfifo(path)


def to_directory(path):
    os.remove(path)
    os.mkdir(path)


relink("blobs-are-links", "is a link", to_link)
relink("blobs-are-fifos", "no regular file", to_fifo)
relink("blobs-are-directories", "no regular file", to_directory)
path = changed("blobs-elsewhere", "is a link", lambda made: None)
os.rename(os.path.join(path, "blobs"), os.path.join(where, "elsewhere"))
os.symlink("../elsewhere", os.path.join(path, "blobs"))
os.mkdir(os.path.join(where, "nothing"))
expect("nothing", "refused", "neither index.json nor manifest.json")

# --- archives -------------------------------------------------------------------------------------------
good = Layout()
good.image([tar([entry("a", data=b"x")])], tag="one")
good.archive(os.path.join(where, "good.tar"))
expect("good.tar", "kept")
data = open(os.path.join(where, "good.tar"), "rb").read()


def file(name, why, content):
    with open(os.path.join(where, name), "wb") as stream:
        stream.write(content)
    expect(name, "refused", why)


file("cut.tar", "cut short|is missing", data[:2000])
file("cut.tar.gz", "uncompress", gzip.compress(data)[:-30])
file("bomb.tar.gz", "digest|no tar|missing|cut short|archive", gzip_zeros(header("x", 1 << 40), 32))
file("doubled.tar", "twice", tar([entry("index.json", data=b"{}"), entry("index.json", data=b"{}")]))
file("no-archive", "no tar", b"\1" * 4096)
file("members.tar", "over 1024 files", tar([entry("f%d" % i) for i in range(2000)]))
file("links.tar", "no regular file|is missing|neither", tar([link("index.json", canary), link("oci-layout", canary)]))
file("empty.tar", "archive is empty", bytes(10240))

#!/usr/bin/env python3
"""Images by hand, as tests need them: layouts, archives, and layers of any entries.

usage: make.py root DIR LAYOUT [TAG]     a tree as an OCI layout of one layer
"""
import gzip
import hashlib
import io
import json
import os
import platform
import sys
import tarfile

MACHINE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
TAG = "org.opencontainers.image.ref.name"


def sha(data):
    return hashlib.sha256(data).hexdigest()


def entry(name, kind=tarfile.REGTYPE, data=b"", **more):
    """One entry of a layer; more sets what a TarInfo has."""
    info = tarfile.TarInfo(name)
    info.type = kind
    info.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
    info.size = len(data)
    for key, value in more.items():
        setattr(info, key, value)
    return info, data


def tar(entries, form=tarfile.GNU_FORMAT, encoding="utf-8"):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form, encoding=encoding, errors="surrogateescape") as archive:
        for info, data in entries:
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


class Layout:
    """A layout in memory, which may be changed before it is written."""

    def __init__(self):
        self.blobs = {}
        self.manifests = []

    def blob(self, data, media):
        self.blobs[sha(data)] = data
        return {"mediaType": media, "digest": "sha256:" + sha(data), "size": len(data)}

    def image(self, layers, tag=None, config=None, pack=None, top=None, diffs=None):
        """layers: tars. pack: what is done to each ('gzip', 'zstd' or a function)."""
        media, packed = LAYER, layers
        if pack == "gzip":
            media, packed = LAYER + "+gzip", [gzip.compress(layer, 6, mtime=0) for layer in layers]
        elif callable(pack):
            media, packed = LAYER + "+zstd", [pack(layer) for layer in layers]
        document = {"architecture": MACHINE, "os": "linux", "created": "2026-01-02T03:04:05Z",
                    "config": config or {},
                    "rootfs": {"type": "layers", "diff_ids": diffs or ["sha256:" + sha(x) for x in layers]}}
        document.update(top or {})
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST,
                    "config": self.blob(json.dumps(document).encode(), CONFIG),
                    "layers": [self.blob(layer, media) for layer in packed]}
        by = self.blob(json.dumps(manifest).encode(), MANIFEST)
        if tag:
            by["annotations"] = {TAG: tag}
        self.manifests.append(by)
        return by

    def files(self):
        index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
                 "manifests": self.manifests}
        yield "oci-layout", b'{"imageLayoutVersion":"1.0.0"}'
        yield "index.json", json.dumps(index).encode()
        for digest, data in self.blobs.items():
            yield "blobs/sha256/" + digest, data

    def write(self, path):
        for name, data in self.files():
            where = os.path.join(path, name)
            os.makedirs(os.path.dirname(where), exist_ok=True)
            with open(where, "wb") as stream:
                stream.write(data)

    def archive(self, path, pack=lambda data: data):
        with open(path, "wb") as stream:
            stream.write(pack(tar([entry(name, data=data) for name, data in self.files()])))


def layer_of(root):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        archive.add(root, arcname=".", recursive=True)
    return out.getvalue()


if __name__ == "__main__":
    if len(sys.argv) < 4 or sys.argv[1] != "root":
        sys.exit(__doc__)
    made = Layout()
    made.image([layer_of(sys.argv[2])], tag=sys.argv[4] if len(sys.argv) > 4 else None, pack="gzip",
               config={"Env": ["PATH=/usr/bin:/bin"], "Cmd": ["/bin/sh"]})
    made.write(sys.argv[3])

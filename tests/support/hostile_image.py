#!/usr/bin/env python3
"""Push an image with any members a tar can have: hostile_image.py < SPEC

SPEC is a JSON object:

  registry  "127.0.0.1:5000"
  name      "attack/name:tag"
  base      [layer file, ...], lowest first
  layers    [[member, ...], ...], on top of these.  A member: "name", "type" (file, dir,
            link, hardlink, char, block, fifo; default file), "target" of a link, "data" of a
            file or "file" of this host to take it from, "fill": NUL bytes behind it, "mode" in
            octal text, "uid", "gid", "major", "minor", "pax": {key: value}.
            Names are written as they are, however wrong.
  config    the "config" object of the image's configuration

Prints the digest that the name stands for.
"""

import argparse
import io
import json
import os
import sys
import tarfile
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import push_image  # noqa: E402

TYPES = {"file": tarfile.REGTYPE, "dir": tarfile.DIRTYPE,
         "link": tarfile.SYMTYPE, "hardlink": tarfile.LNKTYPE,
         "char": tarfile.CHRTYPE, "block": tarfile.BLKTYPE,
         "fifo": tarfile.FIFOTYPE}


def content_of(member):
    if "file" in member:
        with open(member["file"], "rb") as file:
            return file.read()
    return member.get("data", "").encode() + b"\0" * member.get("fill", 0)


def write_layer(path, members):
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for member in members:
            info = tarfile.TarInfo(member["name"])
            info.type = TYPES[member.get("type", "file")]
            info.linkname = member.get("target", "")
            info.mode = int(member.get("mode", "0755"), 8)
            info.uid = member.get("uid", 0)
            info.gid = member.get("gid", 0)
            info.devmajor = member.get("major", 0)
            info.devminor = member.get("minor", 0)
            info.pax_headers = member.get("pax", {})
            if info.type != tarfile.REGTYPE:
                tar.addfile(info)
                continue
            content = content_of(member)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def main():
    spec = json.load(sys.stdin)
    name, _, tag = spec["name"].partition(":")
    with tempfile.TemporaryDirectory(prefix="caisson-hostile.") as directory:
        files = list(spec["base"])
        for number, members in enumerate(spec["layers"]):
            path = os.path.join(directory, f"{number}.tar")
            write_layer(path, members)
            files.append(path)
        options = argparse.Namespace(
            layer=files, config=json.dumps(spec.get("config", {})),
            platform="linux/amd64", plain=False, schema2=False, index=False)
        registry = push_image.Registry(spec["registry"], name)
        print(push_image.push_built(registry, options, tag or "latest"))


if __name__ == "__main__":
    main()

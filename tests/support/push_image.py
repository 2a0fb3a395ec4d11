#!/usr/bin/env python3
"""Push an image to a registry over HTTP, without any other tool.

  push_image.py --registry 127.0.0.1:5000 --name busybox:latest \
      --layer root.tar --layer etc.tar.gz --config '{"Cmd": ["/bin/sh"]}'
  push_image.py --registry 127.0.0.1:5000 --name busybox:latest --layout DIR

--layer     tar, .tar.gz or .tar.zst file; lowest first, repeatable.  A plain
            tar is gzipped unless --plain is given.
--config    the "config" object of the image's configuration (User, Env, ...).
--platform  os/architecture, by default linux/amd64.
--schema2   Docker schema 2 media types instead of OCI's.
--index     the tag names an index, which has the image and one more for
            another platform, that isn't there.
--layout    an OCI layout directory; pushes what its index.json names first.

Prints the digest that the tag names.
"""

import argparse
import gzip
import hashlib
import http.client
import json
import os
import subprocess
import sys
import urllib.parse

OCI = "application/vnd.oci.image."
DOCKER = "application/vnd.docker.distribution.manifest."


def digest_of(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Registry:
    """One repository of a registry."""

    def __init__(self, address, repository):
        self.address = address
        self.repository = repository

    def call(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection(self.address, timeout=60)
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        answer = response.read()
        connection.close()
        if response.status >= 300 and method != "HEAD":
            sys.exit(f"push_image: {method} {path}: {response.status} "
                     f"{answer.decode(errors='replace')}")
        return response

    def push_blob(self, data):
        digest = digest_of(data)
        base = f"/v2/{self.repository}/blobs/"
        if self.call("HEAD", base + digest).status == 200:
            return digest
        upload = self.call("POST", base + "uploads/", b"")
        url = urllib.parse.urlsplit(upload.getheader("Location"))
        query = (url.query + "&" if url.query else "") + "digest=" + digest
        self.call("PUT", f"{url.path}?{query}", data,
                  {"Content-Type": "application/octet-stream"})
        return digest

    def push_manifest(self, data, media_type, reference):
        self.call("PUT", f"/v2/{self.repository}/manifests/{reference}", data,
                  {"Content-Type": media_type})
        return digest_of(data)


def inflate(path, data):
    if data[:2] == b"\x1f\x8b":
        return gzip.decompress(data)
    if data[:4] == b"\x28\xb5\x2f\xfd":
        return subprocess.run(["zstd", "-dc", path], check=True,
                              stdout=subprocess.PIPE).stdout
    return data


def layer_of(path, options):
    """The layer's compressed bytes, its media type and its diffID."""
    with open(path, "rb") as file:
        data = file.read()
    tar = inflate(path, data)
    kind = ""
    if data is tar and not options.plain:
        data = gzip.compress(tar, 1, mtime=0)
    if data[:2] == b"\x1f\x8b":
        kind = "gzip"
    elif data is not tar:
        kind = "zstd"
    if options.schema2:
        media = "application/vnd.docker.image.rootfs.diff.tar"
        return data, media + (".gzip" if kind else ""), digest_of(tar)
    media = OCI + "layer.v1.tar"
    return data, media + ("+" + kind if kind else ""), digest_of(tar)


def push_layers(registry, options):
    layers, diff_ids = [], []
    for path in options.layer:
        data, media, diff_id = layer_of(path, options)
        layers.append({"mediaType": media, "size": len(data),
                       "digest": registry.push_blob(data)})
        diff_ids.append(diff_id)
    return layers, diff_ids


def push_built(registry, options, tag):
    layers, diff_ids = push_layers(registry, options)
    system, architecture = options.platform.split("/")
    config = json.dumps({
        "os": system, "architecture": architecture,
        "config": json.loads(options.config),
        "rootfs": {"type": "layers", "diff_ids": diff_ids}}).encode()
    if options.schema2:
        media = DOCKER + "v2+json"
        config_media = "application/vnd.docker.container.image.v1+json"
    else:
        media = OCI + "manifest.v1+json"
        config_media = OCI + "config.v1+json"
    manifest = json.dumps({
        "schemaVersion": 2, "mediaType": media,
        "config": {"mediaType": config_media, "size": len(config),
                   "digest": registry.push_blob(config)},
        "layers": layers}).encode()
    if not options.index:
        return registry.push_manifest(manifest, media, tag)
    digest = registry.push_manifest(manifest, media, digest_of(manifest))
    return push_index(registry, options, tag, {
        "mediaType": media, "size": len(manifest), "digest": digest,
        "platform": {"os": system, "architecture": architecture}})


def push_index(registry, options, tag, ours):
    # A manifest of no layers stands for the other platform: registries check
    # that what an index names is there.
    config = b'{"os":"linux","architecture":"s390x"}'
    other = json.dumps({
        "schemaVersion": 2, "mediaType": ours["mediaType"],
        "config": {"mediaType": OCI + "config.v1+json", "size": len(config),
                   "digest": registry.push_blob(config)},
        "layers": []}).encode()
    registry.push_manifest(other, ours["mediaType"], digest_of(other))
    media = DOCKER + "list.v2+json" if options.schema2 else (
        OCI + "index.v1+json")
    index = json.dumps({
        "schemaVersion": 2, "mediaType": media,
        "manifests": [
            {"mediaType": ours["mediaType"], "size": len(other),
             "digest": digest_of(other),
             "platform": {"os": "linux", "architecture": "s390x"}},
            ours]}).encode()
    return registry.push_manifest(index, media, tag)


def read_blob(layout, digest):
    with open(os.path.join(layout, "blobs", *digest.split(":")), "rb") as blob:
        return blob.read()


def push_named(registry, layout, descriptor, reference):
    """Pushes a manifest or an index with all that it names."""
    data = read_blob(layout, descriptor["digest"])
    content = json.loads(data)
    for child in content.get("manifests", []):
        push_named(registry, layout, child, child["digest"])
    for child in [content.get("config")] + content.get("layers", []):
        if child:
            registry.push_blob(read_blob(layout, child["digest"]))
    return registry.push_manifest(data, descriptor["mediaType"], reference)


def push_layout(registry, layout, tag):
    with open(os.path.join(layout, "index.json"), encoding="utf-8") as file:
        return push_named(registry, layout, json.load(file)["manifests"][0],
                          tag)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--registry", required=True, metavar="HOST:PORT")
    parser.add_argument("--name", required=True, metavar="REPOSITORY[:TAG]")
    parser.add_argument("--layer", action="append", default=[])
    parser.add_argument("--config", default="{}")
    parser.add_argument("--platform", default="linux/amd64")
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--schema2", action="store_true")
    parser.add_argument("--index", action="store_true")
    parser.add_argument("--layout")
    options = parser.parse_args()
    repository, _, tag = options.name.partition(":")
    tag = tag or "latest"
    registry = Registry(options.registry, repository)
    if options.layout:
        print(push_layout(registry, options.layout, tag))
    else:
        print(push_built(registry, options, tag))


if __name__ == "__main__":
    main()

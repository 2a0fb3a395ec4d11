#!/usr/bin/env bash
# Pushes an image of the size that pulls are measured with, made of this
# machine's own files: make_big_image.sh HOST:PORT
#
# Four gzipped layers, about 1.2 GB unpacked; the first has 54000 small files.
# Kept in build/images: gzip takes a minute.  Prints the image's name.
set -euo pipefail
cd "$(dirname "$0")/.."
registry=${1:?usage: make_big_image.sh HOST:PORT}
cache=build/images
mkdir -p "$cache"

files() { # files MIN MAX: sizes in bytes, below the folders, in a stable order
  find /usr/share /usr/lib /usr/include /usr/local -xdev -type f \
    -size "+${1}c" -size "-${2}c" -print0 2>/dev/null | sort -z
}

layer() { # layer NAME: from the list of files on standard input
  tar --no-recursion --mtime=@0 --owner=0 --group=0 -cf - --null -T - \
    2>/dev/null | gzip -6 >"$cache/$1.tar.gz.new"
  mv "$cache/$1.tar.gz.new" "$cache/$1.tar.gz"
}

# take BYTES OFFSET: that much of the list, by the sum of sizes.
take() {
  perl -0 -ne 'BEGIN { ($want, $skip) = (shift, shift) } chomp;
    if ($skip > 0) { $skip -= -s; next } next if $want <= 0;
    $want -= -s; print "$_\0"' "$1" "$2"
}

if [[ ! -f $cache/big-4.tar.gz ]]; then
  files 0 16384 | perl -0 -ne 'print if $. <= 54000' | layer big-1
  files 1000000 60000000 | take 300000000 0 | layer big-2
  files 1000000 60000000 | take 300000000 300000000 | layer big-3
  files 30000 1000000 | take 420000000 0 | layer big-4
fi
layers=()
for n in 1 2 3 4; do layers+=(--layer "$cache/big-$n.tar.gz"); done
python3 tests/support/push_image.py --registry "$registry" \
  --name library/big:latest "${layers[@]}" --config '{"Cmd": ["/bin/sh"]}' >/dev/null
echo docker.io/library/big:latest

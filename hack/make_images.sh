#!/usr/bin/env bash
# Pushes the images of the tests to a registry:
#
#   hack/make_images.sh HOST:PORT [all|busybox]
#
# All are made here, from Debian's static busybox and programs of this tree,
# those of $CAISSON_BIN or else of build/dev/bin.  `busybox` is the one image
# that needs none of them.  Layers are kept in build/images, so that a second
# run takes a second.
set -euo pipefail
# In $(...) too.
shopt -s inherit_errexit
bin=$(realpath -m "${CAISSON_BIN:-$(dirname "$0")/../build/dev/bin}")
cd "$(dirname "$0")/.."
registry=${1:?usage: make_images.sh HOST:PORT [all|busybox]}
which=${2:-all}
ash=/usr/local/lib/caisson-test/busybox

# Before the first push: an image that lacks its program is seen only by the
# test that runs it, which then says something else.
need() { # need FILE HOW: ends with how to get it where it is not there
  [[ -x $1 ]] || { echo "make_images: $1 is not there: $2" >&2; exit 1; }
}
need /bin/busybox hack/install_deps.sh
case $which in
  all)
    # Its layer may have been brought along, as into a virtual machine.
    [[ -f build/images/tools.tar.gz ]] || need "$ash" hack/install_deps.sh
    need /usr/bin/ipcs hack/install_deps.sh
    for name in caisson-nnp caisson-probe; do
      need "$bin/$name" "ninja -C ${bin%/bin} $name"
    done
    ;;
  busybox) ;;
  *) echo "usage: make_images.sh HOST:PORT [all|busybox]" >&2; exit 2 ;;
esac
cache=build/images
mkdir -p "$cache"
umask 022

push() { # push NAME CONFIG LAYER...
  local name=$1 config=$2
  shift 2
  local layers=()
  local layer
  for layer in "$@"; do layers+=(--layer "$layer"); done
  python3 tests/support/push_image.py --registry "$registry" --name "$name" \
    "${layers[@]}" --config "$config"
}

pack() { # pack DIR FILE: a layer, whole or not at all
  tar -C "$1" --sort=name --mtime=@0 --owner=0 --group=0 -czf "$2.new" .
  mv "$2.new" "$2"
}

# A root with every applet of busybox.
if [[ /bin/busybox -nt $cache/busybox.tar.gz ||
  hack/make_images.sh -nt $cache/busybox.tar.gz ]]; then
  root=$(mktemp -d)
  trap 'rm -rf "$root"' EXIT
  mkdir -p "$root"/{bin,dev,etc,home,proc,root,run,sys,tmp,usr/bin,var/run,var/www,www}
  chmod 1777 "$root/tmp"
  cp /bin/busybox "$root/bin/"
  while read -r applet; do
    [[ -e $root/bin/$applet ]] || ln "$root/bin/busybox" "$root/bin/$applet"
  done < <(/bin/busybox --list)
  # Debian's busybox is built without it.
  cat >"$root/bin/pgrep" <<'EOF'
#!/bin/sh
ps -o pid,comm | awk -v name="$1" 'NR > 1 && $2 ~ name { print $1; found = 1 } END { exit !found }'
EOF
  chmod 755 "$root" "$root/bin/pgrep"
  cat >"$root/etc/passwd" <<'EOF'
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/:/bin/false
www-data:x:33:33:www-data:/var/www:/bin/false
default-user:x:1000:1000:default:/home:/bin/sh
nobody:x:65534:65534:nobody:/home:/bin/false
EOF
  cat >"$root/etc/group" <<'EOF'
root:x:0:
daemon:x:1:
www-data:x:33:
users:x:100:
default-user:x:1000:
group-defined-in-image:x:50000:default-user
nogroup:x:65534:
EOF
  echo '<html><title>Welcome</title>It works!</html>' >"$root/www/index.html"
  pack "$root" "$cache/busybox.tar.gz"
fi
base=$cache/busybox.tar.gz

# marker NAME: a layer that makes an image differ from its brothers.
marker() {
  local file=$cache/marker-$1.tar.gz
  if [[ ! -f $file ]]; then
    local dir
    dir=$(mktemp -d)
    echo "$1" >"$dir/marker-$1"
    pack "$dir" "$file"
    rm -rf "$dir"
  fi
  echo "$file"
}

# program FILE NAME [MODE]: a layer with one program at /NAME.
program() {
  local file=$cache/program-$2.tar.gz
  if [[ ! -f $file || $1 -nt $file ]]; then
    local dir
    dir=$(mktemp -d)
    install -m "${3:-755}" "$1" "$dir/$2"
    pack "$dir" "$file"
    rm -rf "$dir"
  fi
  echo "$file"
}

# A layer with a shell that prefers files to its own commands, and ipcs, both
# with their libraries.
tools_layer() {
  local file=$cache/tools.tar.gz
  if [[ $ash -nt $file || hack/make_images.sh -nt $file ]]; then
    local dir library
    dir=$(mktemp -d)
    install -D -m 755 "$ash" "$dir/bin/ash"
    ln -s ash "$dir/bin/sh"
    install -D -m 755 /usr/bin/ipcs "$dir/usr/bin/ipcs"
    for library in $(ldd "$ash" /usr/bin/ipcs | grep -oE '/lib[^ ]*' | sort -u); do
      [[ -f $library ]] || continue
      install -D -m 755 "$library" "$dir$library"
    done
    pack "$dir" "$file"
    rm -rf "$dir"
  fi
  echo "$file"
}

env='"Env": ["PATH=/bin:/usr/bin"]'
shell="{$env, \"Cmd\": [\"/bin/sh\"]}"
serve() { # serve PORT: a web server that says so in its log
  echo "{$env, \"Cmd\": [\"/bin/sh\", \"-c\", \"echo It works, httpd serves on port $1; exec httpd -f -v -p $1 -h /www\"]}"
}
# A layer with a web server that shows itself as nginx does: by its name, a pid
# file, and "master process" in its command line.
master_layer() {
  local file=$cache/nginx.tar.gz
  if [[ hack/make_images.sh -nt $file ]]; then
    local dir
    dir=$(mktemp -d)
    mkdir -p "$dir/usr/sbin"
    cat >"$dir/usr/sbin/nginx" <<'EOS'
#!/bin/sh
trap 'exit 0' TERM QUIT
echo $$ >/var/run/nginx.pid
echo "It works, serving on port $1"
httpd -f -v -p "$1" -h /www &
wait
EOS
    chmod 755 "$dir/usr/sbin/nginx"
    pack "$dir" "$file"
    rm -rf "$dir"
  fi
  echo "$file"
}
master() { # master PORT
  echo "{$env, \"Cmd\": [\"/usr/sbin/nginx\", \"$1\", \"master process\"]}"
}

push library/busybox:latest "$shell" "$base" >/dev/null
[[ $which == all ]] || exit 0

# As variables: what fails between the words of a command fails unseen.
master_layer=$(master_layer)
nnp_layer=$(program "$bin/caisson-nnp" nnp 4755)
probe_layer=$(program "$bin/caisson-probe" caisson-probe)
tools_layer=$(tools_layer)
push e2e-test-images/busybox:1.29-2 "$shell" "$base" "$tools_layer" >/dev/null
push e2e-test-images/nginx:1.14-2 "$(master 80)" "$base" "$master_layer" >/dev/null
push e2e-test-images/httpd:2.4.39-4 "$(serve 80)" "$base" >/dev/null
tools=k8s-staging-cri-tools
push $tools/hostnet-nginx-amd64:latest "$(master 12003)" "$base" "$master_layer" >/dev/null
for tag in 3.9 3.10 3.10.1 3.10.2; do
  push pause:$tag "{$env, \"User\": \"65535:65535\", \"Entrypoint\": [\"/bin/sleep\", \"1000000\"]}" "$base" >/dev/null
done
push $tools/test-image-latest:latest "$shell" "$base" "$(marker latest)" >/dev/null
for tag in test all; do
  push $tools/test-image-tag:$tag "$shell" "$base" "$(marker "tag-$tag")" >/dev/null
done
for n in 1 2 3; do
  push $tools/test-image-$n:latest "$shell" "$base" "$(marker "image-$n")" >/dev/null
  push $tools/test-image-tags:$n "$shell" "$base" "$(marker tags)" >/dev/null
done
user() { # user NAME USER
  push "$tools/$1:latest" "{$env, \"Cmd\": [\"/bin/sh\"], \"User\": \"$2\"}" "$base" >/dev/null
}
user test-image-user-uid 1002
user test-image-user-uid-group 1003:users
user test-image-user-username www-data
user test-image-user-username-group www-data:100
user test-image-predefined-group default-user
push e2e-test-images/nonewprivs:1.3 \
  "{$env, \"User\": \"1000\", \"Entrypoint\": [\"/nnp\"]}" \
  "$base" "$nnp_layer" >/dev/null
push library/caisson-probe:latest '{"Entrypoint": ["/caisson-probe"]}' \
  "$base" "$probe_layer" >/dev/null
# A layer with what the volumes of an image may meet.
volumes_layer() {
  local file=$cache/volumes.tar.gz
  if [[ hack/make_images.sh -nt $file ]]; then
    local dir
    dir=$(mktemp -d)
    mkdir -p "$dir"/{data/sub,open}
    chmod 755 "$dir"
    chmod 1777 "$dir/open"
    echo image >"$dir/data/file"
    ln -s / "$dir/to-root"
    ln -s /../../../../var/tmp/caisson-away "$dir/away"
    ln -s data "$dir/linked"
    ln -s data "$dir/other"
    ln -s dev "$dir/to-dev"
    pack "$dir" "$file"
    rm -rf "$dir"
  fi
  echo "$file"
}
volumes() { # volumes TAG PATH...
  local tag=$1 list
  shift
  list=$(printf '"%s": {}, ' "$@")
  push library/caisson-volumes:$tag \
    "{\"Entrypoint\": [\"/caisson-probe\"], \"Volumes\": {${list%, }}}" "$base" \
    "$probe_layer" "$volumes_layer" >/dev/null
}
volumes_layer=$(volumes_layer)
volumes good /data /data/sub /open /new/deep/ /linked /other/made /to-dev
volumes dots /../../../../etc
volumes inner-dots /data/../../..
volumes relative data
volumes root /
volumes kernel /proc/sys
volumes to-root /to-root
volumes away /away
volumes file /data/file
# An environment that a program of the host would obey.
push library/caisson-hostile-env:latest \
  '{"Entrypoint": ["/caisson-probe"], "Env": ["LD_PRELOAD=./x.so", "LD_LIBRARY_PATH=.", "BASH_ENV=./x", "PATH=."]}' \
  "$base" "$probe_layer" >/dev/null
push $tools/test-image-digest:latest "$shell" "$base" "$(marker digest)"

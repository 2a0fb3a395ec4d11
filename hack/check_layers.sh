#!/usr/bin/env bash
# Fails when a folder includes one above it (ARCHITECTURE.md, "Folders and the layer rule").
set -euo pipefail
cd "$(dirname "$0")/.."
bad=0

# forbid FOLDER REGEX: no quoted include in FOLDER may match REGEX.
forbid() {
  if [[ -d $1 ]] &&
    grep -rnE --include='*.h' --include='*.cc' "#include \"($2)" "$1"; then
    echo "check_layers: $1 must not include $2" >&2
    bad=1
  fi
}

forbid runtime 'shim/|tests/|api/cri/'
forbid shim 'tests/'
forbid api 'runtime/|shim/|tests/'

# Inside runtime: base <- kernel <- {identity cgroup mount seccomp network device
# image} <- rootfs <- pod <- {keeper puller}; siblings leave each other alone.
# image says whose users an image has in identity's words.
above_base='kernel|identity|cgroup|mount|seccomp|network|device|image|rootfs|pod|keeper|puller'
forbid runtime/base "runtime/($above_base)/"
forbid runtime/kernel "runtime/(identity|cgroup|mount|seccomp|network|device|image|rootfs|pod|keeper|puller)/"
siblings=(identity cgroup mount seccomp network device image)
for one in "${siblings[@]}"; do
  others=$(printf '%s\n' "${siblings[@]}" | grep -vx "$one" | paste -sd'|')
  [[ $one == image ]] && others=${others//identity|/}
  forbid "runtime/$one" "runtime/($others|rootfs|pod|keeper|puller)/"
done
forbid runtime/rootfs 'runtime/(pod|keeper|puller)/'
forbid runtime/pod 'runtime/(keeper|puller)/'
exit "$bad"

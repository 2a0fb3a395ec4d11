# shellcheck shell=bash
# Sourced by the scripts that need root, from any folder:
#
#   become_root "$@"   starts the script again by sudo where it is not root's
#   as_owner CMD...    runs CMD as who owns the checkout, when root came by sudo
#   give_back          what root made below build/ becomes the owner's
#
# So a user with sudo has a build folder of their own, and root needs no sudo.
checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# A user's PATH lacks where Debian has iptables and its kin; so has root's
# that came by su.
export PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

become_root() {
  if ((EUID == 0)); then
    trust_checkout
    return
  fi
  local name names=()
  if ! command -v sudo >/dev/null; then
    echo "$(basename "$0"): needs root, and there is no sudo: run it as root" >&2
    exit 1
  fi
  # By name: sudo takes all away, and lets only some users keep theirs.
  for name in $(compgen -e); do
    [[ $name =~ ^(PATH|TERM|CRICTL|(CAISSON|GTEST|[A-Z]+SAN|CCACHE|GO)[A-Z_]*|(NO|HTTPS?)_PROXY|(no|https?)_proxy)$ ]] &&
      names+=("$name=${!name}")
  done
  exec sudo -- env "${names[@]}" "$(realpath "$0")" "$@"
}

# git asks who owns a checkout before it reads its configuration; root is about
# to run its scripts anyway.
trust_checkout() {
  local count=${GIT_CONFIG_COUNT:-0}
  [[ $(stat -c %u "$checkout") != 0 ]] || return 0
  export "GIT_CONFIG_KEY_$count=safe.directory" "GIT_CONFIG_VALUE_$count=$checkout"
  export GIT_CONFIG_COUNT=$((count + 1))
}

root_by_sudo() {
  ((EUID == 0)) && [[ ${SUDO_UID:-0} != 0 ]] &&
    [[ $(stat -c %u "$checkout") == "$SUDO_UID" ]]
}

as_owner() {
  root_by_sudo || { "$@"; return; }
  local home
  home=$(getent passwd "$SUDO_UID" | cut -d: -f6)
  setpriv --reuid "$SUDO_UID" --regid "$SUDO_GID" --init-groups -- \
    env -u SUDO_UID HOME="$home" USER="$SUDO_USER" LOGNAME="$SUDO_USER" "$@"
}

give_back() {
  root_by_sudo && [[ -d $checkout/build ]] || return 0
  find "$checkout/build" -xdev -uid 0 -exec chown -h "$SUDO_UID:$SUDO_GID" {} +
}

#!/usr/bin/env bash
# kill -9 of caissond at random moments under the load of eight clients, then
# a comparison of all there is with what each client knows.  Here for less
# than a minute; before a larger change lands:
#
#   hack/with_caissond.sh -- tests/cri/chaos.sh --kills 200 --seconds 600
#
# A run is repeated by --seed, which is printed first.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
exec "$here/../../build/dev/tests/chaos" "$@"

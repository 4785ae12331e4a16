#!/usr/bin/env bash
# Makes sure that there is a Podman for the tests of the executor against it: Debian's own, with the init that jobs run
# below. The tests start a service of their own, on a socket of their own. Says nothing when all is there.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/messages.sh

is_there() { command -v podman >/dev/null && command -v catatonit >/dev/null; }

if is_there; then exit 0; fi
if ! may_install_packages; then
    advice="Podman is not there. Debian, Ubuntu: 'sudo apt-get install podman catatonit', then run this again."
    [ -z "${CI:-}" ] || stop "$advice"
    say "$advice The tests against Podman are left out until then."
    exit 0
fi
install_packages podman catatonit
is_there || stop "podman and catatonit were installed but are not found: see 'dpkg -L podman catatonit'."

#!/usr/bin/env bash
# Makes sure that there is an nginx for the test of deploy/nginx.conf: Debian's own. Says nothing when it is there.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/messages.sh

if PATH=$PATH:/usr/sbin command -v nginx >/dev/null; then exit 0; fi
if ! may_install_packages; then
    advice="There is no nginx. Debian: 'sudo apt-get install nginx-light', then run this again."
    [ -z "${CI:-}" ] || stop "$advice"
    say "$advice The test of deploy/nginx.conf is left out until then."
    exit 0
fi
# For its program only: in run level 1 Debian's packages start nothing.
RUNLEVEL=1 install_packages nginx-light

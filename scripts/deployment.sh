#!/usr/bin/env bash
# Makes sure of the programs that tests of a deployment need: compose, debootstrap for a base image where no registry
# answers, and an ssh server, which the tests start for themselves. Says nothing when all are there.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/messages.sh

missing=()
docker compose version >/dev/null 2>&1 || command -v docker-compose >/dev/null || missing+=(docker-compose)
command -v debootstrap >/dev/null || [ -x /usr/sbin/debootstrap ] || missing+=(debootstrap)
[ -x /usr/sbin/sshd ] || missing+=(openssh-server)
if [ ${#missing[@]} = 0 ]; then exit 0; fi
if ! may_install_packages; then
    advice="Not on this machine: ${missing[*]}. Debian, Ubuntu: 'sudo apt-get install ${missing[*]}', then run this again."
    [ -z "${CI:-}" ] || stop "$advice"
    say "$advice The tests of a deployment are left out until then."
    exit 0
fi
# What a package would start as it is installed is not asked for: an ssh server that the whole network can reach.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    trap 'rm -f "$policy"' EXIT
fi
install_packages "${missing[@]}"

#!/bin/sh
# In a build of the image: runs a command with the apt and pip configuration of the building machine, which
# scripts/docker/machine.py has packed. Nothing of it is left when the command is over, so no layer holds it. Without it
# (a plain `docker build`) the command runs with what the base image has.
set -eu

given=/run/secrets/machine
here=$(mktemp -d)
chmod 755 "$here" # apt fetches as a user of its own
trap 'rm -rf "$here"' EXIT

codename() { sed -n 's/^VERSION_CODENAME=//p' "$1"; }

if [ -s "$given" ]; then
    tar -xzf "$given" -C "$here" --no-same-owner
    find "$here" -type f \( -name '*.list' -o -name '*.sources' \) -exec sed -i "s|@HERE@|$here|g" {} +
    export APT_CONFIG="$here/apt.conf" PIP_CONFIG_FILE="$here/pip.conf"
    cp "$here/apt/apt.conf" "$APT_CONFIG"
    # Another release's packages would not fit.
    if [ "$(codename "$here/os-release")" = "$(codename /etc/os-release)" ]; then
        mkdir -p "$here/apt/trusted.gpg.d" "$here/apt/sources.list.d" "$here/apt/auth.conf.d"
        cp -n /etc/apt/trusted.gpg.d/* "$here/apt/trusted.gpg.d" 2>/dev/null || true
        cat >>"$APT_CONFIG" <<CONF
Dir::Etc::SourceList "$here/apt/sources.list";
Dir::Etc::SourceParts "$here/apt/sources.list.d";
Dir::Etc::TrustedParts "$here/apt/trusted.gpg.d";
Dir::Etc::netrc "$here/apt/auth.conf";
Dir::Etc::netrcparts "$here/apt/auth.conf.d";
CONF
    fi
    if [ -f "$here/certificates.pem" ]; then
        echo "Acquire::https::CAInfo \"$here/certificates.pem\";" >>"$APT_CONFIG"
        export PIP_CERT="$here/certificates.pem" SSL_CERT_FILE="$here/certificates.pem"
    fi
    while IFS= read -r proxy; do export "${proxy?}"; done <"$here/proxies"
fi
"$@"

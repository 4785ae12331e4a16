#!/usr/bin/env bash
# Pins requirements.in and requirements.dev.in with hashes: `make requirements`. Options go to pip-compile (--upgrade).
# Pip's own configuration is left out: hashes of a local index or a path of this machine would not hold elsewhere.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/messages.sh

for name in requirements requirements.dev; do
    say "Pinning $name.in …"
    env -u PIP_FIND_LINKS -u PIP_INDEX_URL -u PIP_EXTRA_INDEX_URL PIP_CONFIG_FILE=/dev/null \
        CUSTOM_COMPILE_COMMAND="make requirements" \
        .venv/bin/python -m piptools compile --quiet --generate-hashes --strip-extras --allow-unsafe \
        --no-emit-index-url --no-emit-find-links --no-emit-trusted-host "$@" --output-file "$name.txt" "$name.in"
done

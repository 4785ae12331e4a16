#!/usr/bin/env bash
# Inside the image of development (scripts/docker/test.sh): gives the checkout in the current folder the image's packages as
# its .venv, then runs what `make test` runs, or pytest with the arguments.
set -euo pipefail

# A virtual environment names its own path in its scripts.
cp -a /opt/venv .venv
grep -rlI /opt/venv .venv/bin .venv/pyvenv.cfg | xargs sed -i "s|/opt/venv|$PWD/.venv|g"
for name in requirements.txt requirements.dev.txt; do
    { .venv/bin/python --version && cat "$name"; } | sha256sum | cut -d' ' -f1 >".venv/installed-$name"
done
# Not in this shell's place: a test looks at its process's parent, which is not to be the first of all.
if [ $# = 0 ]; then scripts/checks.sh all; else .venv/bin/python -m pytest "$@"; fi

#!/bin/sh
# In a build of the image: makes /opt/venv with exactly the pinned packages. pip itself stays only if asked to
# ("keep-pip"): a running service installs nothing.
set -eu
python3 -m venv /opt/venv
# --no-deps: the list is complete (scripts/setup.sh says why).
/opt/venv/bin/python -m pip install -q --no-cache-dir --disable-pip-version-check --no-input --no-deps --require-hashes \
    -r "$1"
/opt/venv/bin/python -m pip check --disable-pip-version-check
if [ "${2:-}" = keep-pip ]; then exit 0; fi
/opt/venv/bin/python -m pip uninstall -q -y --disable-pip-version-check setuptools pip 2>/dev/null
# Nothing here is shown in another language than English, and padding is no code.
find /opt/venv/lib -type d -name LC_MESSAGES -prune -exec rm -rf {} +
python3 /run/image/smaller_libraries.py /opt/venv/lib

#!/usr/bin/env bash
# Makes .venv with the pinned packages: `scripts/setup.sh` for production's, `scripts/setup.sh dev` for tests as well.
# Says nothing when there is nothing to do. PYTHON=/path/to/python chooses the interpreter of a new environment.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/messages.sh

venv=$PWD/.venv
python=$venv/bin/python
incomplete=$venv/being-made
new_enough='import sys; sys.exit(sys.version_info < (3, 11))'

# The first interpreter that starts and is new enough. It is really started: version managers put stubs on the PATH.
find_python() {
    local name
    for name in ${PYTHON:+"$PYTHON"} python3.13 python3.12 python3.11 python3 python; do
        if "$name" -c "$new_enough" >/dev/null 2>&1; then
            command -v "$name"
            return
        fi
    done
    stop "Python 3.11 or newer was not found on the PATH. On Debian or Ubuntu install it with" \
        "'apt-get install python3 python3-venv', or name one: PYTHON=/path/to/python3.12 make setup."
}

# A virtual environment names its own path in its scripts, so one that was moved or copied here does not serve.
venv_is_sound() {
    [ ! -e "$incomplete" ] && "$python" -c "import pip; $new_enough" 2>/dev/null &&
        head -n 3 "$venv/bin/pip" | grep -qF "$venv/bin/"
}

make_venv() {
    local base
    base=$(find_python)
    if ! "$base" -c 'import ensurepip, venv' 2>/dev/null; then
        may_install_packages || stop "$base lacks Python's venv module. On Debian or Ubuntu ask an administrator for" \
            "'apt-get install python3-venv', then run this again."
        install_packages "$("$base" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
    fi
    say "Making a virtual environment in .venv with $("$base" --version) …"
    rm -rf "$venv"
    mkdir "$venv"
    touch "$incomplete"
    "$base" -m venv "$venv"
}

fingerprint() { { "$python" --version && cat "$1"; } | sha256sum | cut -d' ' -f1; }

is_installed() { [ "$(cat "$venv/installed-$1" 2>/dev/null)" = "$(fingerprint "$1")" ]; }

# A pip that is killed may leave packages that look whole and are not: the mark makes the next run start afresh.
# A pip that gives up in good order (no network) leaves them as they were, and they stay.
install_pinned() {
    say "Installing the packages of $1 …"
    touch "$incomplete"
    # --no-deps: the list is complete. Left to itself pip looks for what a pinned package may need beside it, finds a
    # release that came out today, and refuses it for having no hash here (seen with pytest-cov and coverage[toml]).
    if ! "$python" -m pip install -qq --disable-pip-version-check --no-input --no-deps --require-hashes -r "$1"; then
        rm "$incomplete"
        stop "pip could not install $1: see above. Is the package index reachable from here? A mirror is named by" \
            "PIP_INDEX_URL or pip.conf. Run this again once it is."
    fi
    rm "$incomplete"
}

# -I: what PYTHONPATH names belongs to somebody else.
is_complete() { "$python" -I -m pip check --disable-pip-version-check >"$venv/check" 2>&1; }

# What an earlier list has left in .venv may not fit the new one, so a second look is taken at a fresh .venv.
install_checked() {
    install_pinned "$1"
    if ! is_complete; then
        make_venv
        install_pinned "$1"
        is_complete || { cat "$venv/check" >&2 && stop "$1 is incomplete for $("$python" --version): see above." \
            "Whoever maintains this can pin what is missing with 'make requirements'."; }
    fi
    fingerprint "$1" >"$venv/installed-$1"
}

wanted=requirements${1:+.$1}.txt
[ -f "$wanted" ] || stop "There is no $wanted: say scripts/setup.sh or scripts/setup.sh dev."
exec 9<"$PWD"
flock --wait 900 9 || stop "Another set-up has been running here for 15 minutes; end it, then run this again."
trap 'exit 130' INT TERM
SECONDS=0
venv_is_sound || make_venv
if ! is_installed "$wanted"; then
    install_checked "$wanted"
    [ "$wanted" = requirements.txt ] || fingerprint requirements.txt >"$venv/installed-requirements.txt"
    say "Set up in $SECONDS s."
fi

# shellcheck shell=bash
# How the scripts speak, and how they install a Debian package. To be sourced; does nothing by itself.

say() { printf '▸ %s\n' "$*"; }

# One paragraph that says what to do, then the end. Lines end between words only: a path is there to be copied.
stop() {
    local word line=✗ lines=()
    set -f
    # shellcheck disable=SC2048 # its words
    for word in $*; do
        if [ $((${#line} + ${#word})) -lt 100 ]; then
            line+=" $word"
        else
            lines+=("$line")
            line=$word
        fi
    done
    printf '%s\n' "" "${lines[@]}" "$line" >&2
    exit 1
}

may_install_packages() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

# install_packages NAME…: from Debian or Ubuntu. Fetches the package lists first: a fresh machine has none or old ones.
install_packages() {
    local log
    log=$(mktemp)
    say "Installing with apt-get: $* …"
    export DEBIAN_FRONTEND=noninteractive
    if ! { apt-get update -q && apt-get install -q -y --no-install-recommends -o DPkg::Lock::Timeout=120 "$@"; } \
        >"$log" 2>&1 </dev/null; then
        tail -n 15 "$log" >&2
        stop "apt-get could not install $*: its last lines are above, all of them in $log."
    fi
    rm -f "$log"
}

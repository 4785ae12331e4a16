#!/usr/bin/env bash
# Runs a command, such as the tests, with a PostgreSQL server of its own beside it: `scripts/postgres.sh pytest …`. The server
# lives in a temporary folder, listens on a Unix socket there, and ends with the command. Debian's package is installed
# where that is allowed; a server that this machine has already is not touched. With --if-possible before the command a
# machine without PostgreSQL is told so and nothing is run; in CI that is a failure.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/messages.sh

is_there() { compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null; }

# The package would make and start a server of the machine's own, on the usual port, which nobody has asked for.
install() {
    local no_server=/etc/postgresql-common/createcluster.d/jobrunner-tests.conf
    install_packages postgresql-common
    mkdir -p "$(dirname "$no_server")"
    echo "create_main_cluster = false" >"$no_server"
    trap 'rm -f "$no_server"' EXIT
    grep -q '^include_dir' /etc/postgresql-common/createcluster.conf 2>/dev/null ||
        sed -i 's/^#\?create_main_cluster.*/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf
    install_packages postgresql
    rm -f "$no_server"
    trap - EXIT
}

if_possible=
if [ "${1:-}" = --if-possible ]; then
    if_possible=yes
    shift
fi
if ! is_there && ! may_install_packages; then
    advice="PostgreSQL is not installed. Debian or Ubuntu: 'sudo apt-get install postgresql', then run this again."
    [ -n "$if_possible" ] && [ -z "${CI:-}" ] || stop "$advice"
    say "$advice Its tests are left out until then."
    exit 0
fi
is_there || install
exec .venv/bin/python -m tests.postgres_cluster "$@"

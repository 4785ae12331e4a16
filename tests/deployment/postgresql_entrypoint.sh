#!/bin/bash
# Does what the entrypoint of the image `postgres` is documented to do: as root it makes its folder and becomes the user
# postgres, sets a database up once, and serves.
set -euo pipefail
programs=$(echo /usr/lib/postgresql/*/bin) data=/var/lib/postgresql/data
if [ "$(id -u)" = 0 ]; then
    POSTGRES_PASSWORD=$(<"$POSTGRES_PASSWORD_FILE")
    export POSTGRES_PASSWORD
    mkdir -p "$data" && chmod 700 "$data" && chown postgres "$data" /var/run/postgresql
    exec setpriv --reuid postgres --regid postgres --clear-groups -- "$0"
fi
if [ ! -s "$data/PG_VERSION" ]; then
    "$programs/initdb" --pgdata "$data" --username "$POSTGRES_USER" --pwfile <(echo "$POSTGRES_PASSWORD") --encoding UTF8 \
        --locale C --auth-local trust --auth-host scram-sha-256 >/dev/null
    echo "host all all all scram-sha-256" >>"$data/pg_hba.conf"
    "$programs/pg_ctl" --pgdata "$data" --options "-c listen_addresses='' -k /tmp" --wait start >/dev/null
    "$programs/psql" --host /tmp --username "$POSTGRES_USER" --dbname postgres --command "CREATE DATABASE $POSTGRES_DB"
    "$programs/pg_ctl" --pgdata "$data" --mode fast --wait stop >/dev/null
fi
exec "$programs/postgres" -D "$data" -c "listen_addresses=*" -k /var/run/postgresql

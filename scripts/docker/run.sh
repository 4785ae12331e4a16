#!/usr/bin/env bash
# A command in a container of its own that has what the service `run` has: `make docker-run ARGS="python manage.py status"`;
# without ARGS a shell. The services need not run.
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/messages.sh
. scripts/docker/ground.sh

have_dotenv
have_settings
have_engine
have_image
find_user
find_compose
have_places
terminal=()
if [ ! -t 0 ] || [ ! -t 1 ]; then terminal=(-T); fi
# As a shell parts the words of ARGS, quotes included.
eval "set -- ${ARGS:-bash}"
exec "${COMPOSE[@]}" run --rm --no-deps ${terminal[@]+"${terminal[@]}"} command "$@"

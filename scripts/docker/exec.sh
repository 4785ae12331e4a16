#!/usr/bin/env bash
# A command in the container of a service that runs: `make docker-exec SERVICE=web ARGS="python manage.py status"`; without
# ARGS a shell, without SERVICE in that of `run`.
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/messages.sh
. scripts/docker/ground.sh

service=${SERVICE:-run}
have_dotenv
have_settings
have_engine
find_user
find_compose
[ -n "$(docker ps --quiet --filter "label=com.docker.compose.project=$PROJECT" \
    --filter "label=com.docker.compose.service=$service" --filter status=running)" ] ||
    stop "No service called $service runs here ('make docker-serve ARGS=ps'): 'make docker-serve' starts run, sync and web;" \
        "'make docker-run' needs no service."
terminal=()
if [ ! -t 0 ] || [ ! -t 1 ]; then terminal=(-T); fi
eval "set -- ${ARGS:-bash}"
# docker-compose's exec does not go through the image's entrypoint, and files that commands make are for nobody else.
exec "${COMPOSE[@]}" exec ${terminal[@]+"${terminal[@]}"} "$service" scripts/container/service.sh "$@"

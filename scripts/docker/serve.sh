#!/usr/bin/env bash
# The job runner as containers: `make docker-serve` starts sync, run and the pages in the background, and says how to look
# at them. ARGS="…" is any other word to compose: ARGS="logs -f run", ARGS=ps, ARGS=stop. The first use makes what is
# missing: the image, .env, folders, secrets. In production, too (docs/containers.md).
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/messages.sh
. scripts/docker/ground.sh

# An image that is older than compose.yaml may not know what that asks of it.
tell_if_older() {
    local of_image here
    [ -z "$IMAGE_OF_DOTENV" ] || return 0 # somebody wants it so
    of_image=$(docker image inspect "$IMAGE" --format '{{index .Config.Labels "org.opencontainers.image.revision"}}')
    here=$(git rev-parse HEAD 2>/dev/null || true)
    if [ -n "$here" ] && [ "${of_image%+changes}" != "$here" ]; then
        say "Note: $IMAGE was built from commit ${of_image:0:12}, and this checkout is at ${here:0:12}: make docker-build"
    fi
}

# until_alive SERVICE: its own sign of life, as its health check asks for it; else its last words.
until_alive() {
    local deadline=$((SECONDS + 90)) name=$1 before
    before=$(restarts_of "$1")
    if [ "$name" = web ]; then name=; fi
    # shellcheck disable=SC2086 # nothing for the pages
    until "${COMPOSE[@]}" exec -T "$1" python scripts/container/sign_of_life.py $name ${name:+"$began"} >/dev/null 2>&1; do
        if [ $SECONDS -ge $deadline ] || [ "$(restarts_of "$1")" -ge $((before + 3)) ]; then
            "${COMPOSE[@]}" logs --no-color --tail 20 "$1" >&2 || true
            stop "The service $1 does not come to work: the last lines of its log are above. Mend that, then 'make docker-serve'" \
                "again. The other services are as 'make docker-serve ARGS=ps' shows them."
        fi
        sleep 1
    done
}

restarts_of() {
    local id
    id=$(docker ps --all --quiet --filter "label=com.docker.compose.project=$PROJECT" \
        --filter "label=com.docker.compose.service=$1" | head -n 1)
    docker inspect --format '{{.RestartCount}}' "$id" 2>/dev/null || echo 0
}

# Compose would say "address already in use" after it has replaced what ran.
refuse_taken_port() {
    local host=${WEB_ADDRESS%:*} port=${WEB_ADDRESS##*:}
    [ -z "$(docker ps --quiet --filter "label=com.docker.compose.project=$PROJECT" --filter "publish=$port")" ] || return 0
    host=${host#[} host=${host%]}
    case $host in 0.0.0.0 | "" | ::) host=127.0.0.1 ;; esac
    if (: <"/dev/tcp/$host/$port") 2>/dev/null; then
        stop "$WEB_ADDRESS is taken by another program. Choose another port for the pages: PORT=8100 make docker-serve (or" \
            "WEB_ADDRESS in .env)."
    fi
}

# tell_why_migrate_failed SINCE: its own words of this start, if it was that. Without colours, and of this start only.
tell_why_migrate_failed() {
    local id
    id=$(docker ps --all --quiet --filter "label=com.docker.compose.project=$PROJECT" \
        --filter "label=com.docker.compose.service=migrate" | head -n 1)
    if [ -n "$id" ] && [ "$(docker inspect --format '{{.State.ExitCode}}' "$id")" != 0 ]; then
        docker logs --since "$1" "$id" >&2 || true
    fi
}

have_dotenv
have_settings
have_engine
have_image
find_user
find_compose
if [ -n "${ARGS:-}" ]; then
    # shellcheck disable=SC2086 # they are words
    exec "${COMPOSE[@]}" $ARGS
fi
have_places
if [ "$ENV" = prod ]; then tell_if_older; fi
if ! is_production && [ -d demo/study ]; then
    scripts/demo_study.sh
    have_demo_images
fi
refuse_taken_port
say "Starting migrate, sync, run and web from $IMAGE …"
began=$(date +%s)
said=$("${COMPOSE[@]}" up --detach --remove-orphans 2>&1) || {
    printf '%s\n' "$said" >&2
    tell_why_migrate_failed "$began"
    stop "The services did not start: see above. What ran before may still run: 'make docker-serve ARGS=ps' tells."
}
for service in web run sync; do until_alive $service; done
# From within a container an ssh server of this machine may be out of reach that answered from outside.
code=0
if [[ $JOBS_ENGINE = ssh://* ]]; then said=$("${COMPOSE[@]}" exec -T run python manage.py doctor docker 2>&1) || code=$?; fi
if [ $code -gt 1 ]; then # 1: it works, and something could be better
    printf '%s\n' "$said" >&2
    say "No job can run yet: the engine $JOBS_ENGINE does not answer the service run (above). Jobs wait until it does."
fi
if is_production; then
    say "The pages:      http://$WEB_ADDRESS/, for the proxy in front of them, and by the names in ALLOWED_HOSTS only"
else
    say "The dashboard:  http://$WEB_ADDRESS/   (an installation for development: JOB_RUNNER_MODE is not production)"
fi
if is_production; then
    say "The first account: make docker-exec SERVICE=web ARGS=\"python manage.py add_person NAME --role administrator\""
else
    said=$("${COMPOSE[@]}" exec -T web python manage.py add_person demo --role operator --if-missing)
    if [ -n "$said" ]; then say "A first account: sign in as demo with the $(tail -n 1 <<<"$said"). It is shown only now."; fi
    say "A job:          make docker-run ARGS=\"python manage.py add_job $CHECKOUT/demo/repo run_all --workspace demo --wait\""
fi
say "How they are:   make docker-serve ARGS=ps        (logs: ARGS=\"logs -f run\"; stop: ARGS=stop; away with them: ARGS=down)"

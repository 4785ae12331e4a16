#!/usr/bin/env bash
# Takes away what the other `make docker-…` targets have made: the services' containers and networks, the images, and Docker
# over ssh. Data stay: folders of jobs and outputs, the database, .env and secrets; it says where.
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/messages.sh
. scripts/docker/ground.sh

images=${JOB_RUNNER_IMAGE:-jobrunner:prod jobrunner:dev} # one that .env names was kept for a reason
if [ -e "$SSH_FOLDER" ]; then scripts/docker/over_ssh.sh disable; fi
have_engine
if [ -e "${DOTENV_FILE:-.env}" ]; then
    have_settings
    find_compose
    said=$("${COMPOSE[@]}" --profile command --profile postgresql down --remove-orphans 2>&1) || {
        printf '%s\n' "$said" >&2
        stop "Compose could not remove the services: its words are above. Nothing else was removed."
    }
    grep -v '^Removing network' <<<"$said" || true
fi
# Images have one name for all checkouts of an engine, so what another one's services use stays.
for image in $images; do
    docker image inspect "$image" >/dev/null 2>&1 || continue
    if docker image rm "$image" >/dev/null 2>&1; then
        say "Removed the image $image"
    else
        say "The image $image stays: containers of it are there ('docker ps -a --filter ancestor=$image')."
    fi
done
# Only if scripts/base_image.sh has made it: one that was pulled may be somebody else's.
if [ "$(docker image inspect "$BASE_IMAGE" --format '{{index .Config.Labels "org.jobrunner.base"}}' 2>/dev/null)" = true ]; then
    docker image rm "$BASE_IMAGE" >/dev/null 2>&1 && say "Removed the image $BASE_IMAGE, which was made here" || true
fi
if [ -n "${WORK_DIR:-}" ] && [ -d "$WORK_DIR" ]; then
    say "Kept: $WORK_DIR (database, jobs' folders, by default the outputs), $SECRETS, $DOTENV."
    say "Jobs that were running go on in their containers; a runner with this work directory takes them up again."
fi

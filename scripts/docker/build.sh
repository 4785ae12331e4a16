#!/usr/bin/env bash
# Builds the image: `make docker-build ENV=prod|dev ARGS=--no-cache`. How this machine reaches apt and pip goes to the build
# as a secret, so that nothing of it is in the image. BASE_IMAGE, USER_ID (10001) and JOB_RUNNER_IMAGE (its name) may be set.
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/messages.sh
. scripts/docker/ground.sh

most_megabytes=250

size() { docker image inspect "$1" --format '{{.Size}}'; }

# The commit, with a mark if the image gets more than that; "unknown" where there is no git.
revision() {
    local commit
    commit=$(git rev-parse HEAD 2>/dev/null) || { echo unknown && return; }
    [ -z "$(git status --porcelain 2>/dev/null)" ] || commit+="+changes"
    echo "$commit"
}

# The configuration of this machine, if there is a Python that can gather it.
gather() {
    local python
    for python in python3 /usr/bin/python3; do
        if "$python" scripts/docker/machine.py >"$1" 2>"$1.why"; then return; fi
    done
    : >"$1"
    say "Building without this machine's own apt and pip configuration: $(tail -n 1 "$1.why")"
}

# The image that .env names is a way back: what is built now gets the usual name, and is used once .env names no other.
if [ -n "$IMAGE_OF_DOTENV" ] && [ "$IMAGE_OF_DOTENV" != "jobrunner:$ENV" ]; then
    IMAGE=jobrunner:$ENV
    say "Note: .env names the image $IMAGE_OF_DOTENV (JOB_RUNNER_IMAGE), so the services use that and not $IMAGE."
fi
have_engine
find_builder
scripts/base_image.sh
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
gather "$folder/machine"
say "Building $IMAGE …"
# shellcheck disable=SC2086 # ARGS are words
DOCKER_BUILDKIT=1 "$BUILDER" build --target "$ENV" --tag "$IMAGE" --secret "id=machine,src=$folder/machine" \
    --build-arg "BASE_IMAGE=$BASE_IMAGE" --build-arg "USER_ID=${USER_ID:-10001}" --build-arg "REVISION=$(revision)" \
    --build-arg "CREATED=$(date -u +%Y-%m-%dT%H:%M:%SZ)" --build-arg "VERSION=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)" \
    --progress plain ${ARGS:-} . >"$folder/log" 2>&1 || {
    tail -n 40 "$folder/log" >&2
    stop "The image could not be built: the last lines are above. Does this machine reach Debian's and Python's packages?"
}
added=$((($(size "$IMAGE") - $(size "$BASE_IMAGE")) / 1000000))
say "$IMAGE adds $added MB to its base $BASE_IMAGE ($(($(size "$BASE_IMAGE") / 1000000)) MB). Built in $SECONDS s."
if [ "$ENV" = prod ] && [ "$added" -ge $most_megabytes ]; then
    stop "That is too much: $most_megabytes MB is what it may add. 'docker history $IMAGE' shows what takes the room."
fi

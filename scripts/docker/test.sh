#!/usr/bin/env bash
# The checks and tests inside the image of development, against this machine's engine: `make docker-test`; ARGS are those of
# pytest (ARGS="tests/runner -k disk"), without ARGS it is everything that `make test` does.
#
# Tests have folders mounted into containers of the engine, which knows only the host's paths: so everything lies in one
# folder that has the same path inside and outside, and the code in it is a copy. They start engines of their own, which
# takes more than a container usually may.
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/messages.sh
ENV=dev
. scripts/docker/ground.sh

# A copy of what git would commit, with what is new or changed, and the history that some tests read.
copy_checkout() {
    git clone --quiet --no-hardlinks . "$1"
    git ls-files --deleted -z | (cd "$1" && xargs -0 -r rm -f --)
    git ls-files --cached --others --exclude-standard -z | xargs -0 -r ls -d -- 2>/dev/null | tar -cf - -T - | tar -xf - -C "$1"
}

clear_up() {
    # Some of it belongs to root, whom the tests were.
    docker run --rm --user 0 --network none --entrypoint rm -v "$folder:$folder" "$IMAGE" -rf "$folder/main" "$folder/tmp" || true
    rm -rf "$folder"
}

have_engine
docker image inspect "$IMAGE" >/dev/null 2>&1 && docker run --rm --network none --entrypoint cat "$IMAGE" \
    /build/requirements.dev.txt | cmp -s - requirements.dev.txt || scripts/docker/build.sh
address=${DOCKER_HOST:-unix:///var/run/docker.sock}
[[ $address = unix://* ]] || stop "DOCKER_HOST is $address: these tests need the engine of this machine."
folder=$(mktemp -d /tmp/jobrunner-test.XXXX) # short: sockets' paths have 107 letters
trap clear_up EXIT
trap 'exit 130' INT TERM
mkdir "$folder/main" "$folder/tmp"
copy_checkout "$folder/main"
terminal=()
if [ -t 0 ] && [ -t 1 ]; then terminal=(--tty --interactive); fi
# Not --privileged: an engine that lacks one capability itself could not give all.
may=(--security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined)
for capability in SYS_ADMIN NET_ADMIN SYS_PTRACE SYS_NICE DAC_READ_SEARCH; do may+=(--cap-add "$capability"); done
# shellcheck disable=SC2086 # ARGS are words
docker run --rm --init ${terminal[@]+"${terminal[@]}"} --name "jobrunner-test-$$" --user 0 "${may[@]}" --network host \
    --device-cgroup-rule 'a *:* rwm' --cgroupns host --shm-size 1g -v "${address#unix://}:/var/run/docker.sock" -v "$folder:$folder" -v /sys/fs/cgroup:/sys/fs/cgroup \
    -e "TMPDIR=$folder/tmp" -e HOME=/root -e SECRETS_DIR= -e UMASK=0022 --workdir "$folder/main" \
    "$IMAGE" scripts/docker/inside.sh ${ARGS:-}

# shellcheck shell=bash
# What the scripts of `make docker-…` stand on: the programs, the settings that compose needs, folders and secrets. To be
# sourced after scripts/messages.sh, in the folder of the checkout; does nothing by itself.

BASE_IMAGE=${BASE_IMAGE:-debian:bookworm-slim}
CHECKOUT=$PWD
SSH_FOLDER=$PWD/.docker-over-ssh
REAL_IMAGES=ghcr.io/opensafely-core
DEMO_IMAGES=jobrunner-demo
# Which image: of production, with the code in it, or of development, where this checkout is mounted.
ENV=${ENV:-prod}
case $ENV in prod | dev) ;; *) stop "ENV is $ENV, but there are the images prod and dev only: ENV=prod or ENV=dev." ;; esac

have_engine() {
    local address=${DOCKER_HOST:-}
    command -v docker >/dev/null || stop "There is no docker command. Debian, Ubuntu: 'sudo apt-get install docker.io', or run" \
        "'make engine' as root, which installs it."
    docker version >/dev/null 2>&1 || stop "No Docker engine answers this user${address:+ at $address (DOCKER_HOST)}: see what" \
        "'docker version' says. 'make engine' starts one on this machine, and 'usermod -aG docker NAME' lets somebody use it."
}

# An image that somebody has named (an older one, to go back to) is never made of what this checkout holds now.
have_image() {
    if docker image inspect "$IMAGE" >/dev/null 2>&1; then return; fi
    [ "$IMAGE" = "jobrunner:$ENV" ] || [ -z "$IMAGE_OF_DOTENV" ] ||
        stop "JOB_RUNNER_IMAGE in ${DOTENV_FILE:-.env} is $IMAGE, and this engine has no image of that name ('docker image ls')."
    ENV=$ENV scripts/docker/build.sh
}

# The client that can build with secrets (BuildKit): one with buildx, or Debian's of before version 23, which needs none.
find_builder() {
    local each version
    BUILDER=
    while read -r each; do
        version=$("$each" version --format '{{.Client.Version}}' 2>/dev/null || true)
        version=${version%%.*}
        if "$each" buildx version >/dev/null 2>&1 || { [[ $version =~ ^[0-9]+$ ]] && [ "$version" -lt 23 ]; }; then
            BUILDER=$each
            return
        fi
    done < <(type -ap docker)
    stop "No docker command here can build with BuildKit, which keeps this machine's configuration out of the image:" \
        "install its part buildx (Debian 13 and Ubuntu: 'apt-get install docker-buildx'; Docker's own packages:" \
        "docker-buildx-plugin)."
}

# Two checkouts on one engine must not end, replace or remove each other's services unasked.
own_project() {
    local other
    other=$(docker ps --all --filter "label=com.docker.compose.project=$PROJECT" \
        --format '{{.Label "com.docker.compose.project.working_dir"}}' | grep -vxF "$CHECKOUT" | head -n 1 || true)
    if [ -n "$other" ]; then
        stop "The containers called $PROJECT on this engine are those of $other. Remove them there ('make docker-clean')," \
            "or give these another name: COMPOSE_PROJECT_NAME=…, best in .env."
    fi
}

# COMPOSE: how compose is called, with our files.
find_compose() {
    own_project
    if docker compose version >/dev/null 2>&1; then
        COMPOSE=(docker compose)
    elif command -v docker-compose >/dev/null; then
        COMPOSE=(docker-compose)
    elif may_install_packages; then
        install_packages docker-compose
        COMPOSE=(docker-compose)
    else
        stop "Neither 'docker compose' nor docker-compose is here. Debian, Ubuntu: 'sudo apt-get install docker-compose'."
    fi
    COMPOSE+=(--project-name "$PROJECT" --project-directory "$CHECKOUT" -f "$CHECKOUT/compose.yaml")
    if [ -f compose.override.yaml ]; then COMPOSE+=(-f "$CHECKOUT/compose.override.yaml"); fi
    if ! is_production; then COMPOSE+=(-f "$CHECKOUT/compose.development.yaml"); fi
}

# setting NAME [DEFAULT]: as manage.py would read it: the environment, else .env, else what is given here.
setting() {
    local value=${!1:-}
    if [ -z "$value" ] && [ -f "${DOTENV_FILE:-.env}" ]; then
        value=$(sed -nE "s/^[[:space:]]*(export[[:space:]]+)?$1[[:space:]]*=[[:space:]]*//p" "${DOTENV_FILE:-.env}" | tail -n 1)
        case $value in
        \"*) value=${value#\"} && value=${value%%\"*} ;;
        \'*) value=${value#\'} && value=${value%%\'*} ;;
        *) value=$(sed -E 's/(^|[[:space:]])#.*//; s/[[:space:]]+$//' <<<"$value") ;;
        esac
    fi
    printf '%s' "${value:-${2:-}}"
}

# What manage.py would put together must not be taken for something else here: a production installation for one of
# development, or a folder for another.
refuse_what_only_python_reads() {
    local name
    [ -f "${DOTENV_FILE:-.env}" ] || return 0
    for name in JOB_RUNNER_MODE WORK_DIR HIGH_PRIVACY_STORAGE_BASE MEDIUM_PRIVACY_STORAGE_BASE SECRETS WEB_ADDRESS DOCKER_HOST \
        DOCKER_REGISTRY COMPOSE_PROJECT_NAME JOB_RUNNER_IMAGE SSH_KEY_FILE SSH_KNOWN_HOSTS_FILE; do
        if grep -qE "^[[:space:]]*(export[[:space:]]+)?['\"]?$name['\"]?[[:space:]]*=.*([\$]\{|\\\\)" "${DOTENV_FILE:-.env}" ||
            grep -qE "^[[:space:]]*['\"]$name['\"]" "${DOTENV_FILE:-.env}"; then
            stop "$name in ${DOTENV_FILE:-.env} has \${…}, a backslash or a quoted name, which only manage.py understands." \
                "Write the plain value: $name=…"
        fi
    done
}

is_production() { [ "$(setting JOB_RUNNER_MODE)" = production ]; }

PROJECT=$(setting COMPOSE_PROJECT_NAME jobrunner)
# IMAGE_OF_DOTENV: somebody has named it there, and not for this call only.
IMAGE_OF_DOTENV=
if [ "$ENV" = prod ] && [ -z "${JOB_RUNNER_IMAGE:-}" ]; then IMAGE_OF_DOTENV=$(setting JOB_RUNNER_IMAGE); fi
IMAGE=${JOB_RUNNER_IMAGE:-${IMAGE_OF_DOTENV:-jobrunner:$ENV}}

random() { head -c "$1" /dev/urandom | base64 -w 0 | tr '+/' '-_' | tr -d '='; }

# On the first use: nothing in it is set yet, so it is a development installation. Where no real image is, its jobs get
# the demo's tiny ones.
have_dotenv() {
    if [ -e "${DOTENV_FILE:-.env}" ]; then return; fi
    say "Writing .env from dotenv-sample: every setting is there, all of them commented out"
    cp dotenv-sample .env
    if docker version >/dev/null 2>&1 && [ -z "$(docker image ls --quiet "$REAL_IMAGES/*")" ]; then
        say "No image of $REAL_IMAGES is here: the jobs get the demo's (DOCKER_REGISTRY=$DEMO_IMAGES in .env; remove the" \
            "line once you have pulled real ones)"
        printf '\n# No real image was here when this file was made: the demo'"'"'s are below this name.\nDOCKER_REGISTRY=%s\n' \
            "$DEMO_IMAGES" >>.env
    fi
}

# The demo study's images, if it is those that jobs get.
have_demo_images() {
    local each
    [ "$(setting DOCKER_REGISTRY)" = "$DEMO_IMAGES" ] || return 0
    for each in python:v2 r:v2; do
        docker image inspect "$DEMO_IMAGES/$each" >/dev/null 2>&1 || {
            scripts/setup.sh
            .venv/bin/python scripts/images.py "$DEMO_IMAGES/python:v2" "$DEMO_IMAGES/r:v2"
            return
        }
    done
}

# What compose.yaml asks for; production has to say the folders itself, as outputs lie there for years.
have_settings() {
    have_dotenv
    refuse_what_only_python_reads
    local name missing=()
    if is_production; then
        for name in WORK_DIR HIGH_PRIVACY_STORAGE_BASE MEDIUM_PRIVACY_STORAGE_BASE BACKEND ALLOWED_HOSTS; do
            [ -n "$(setting $name)" ] || missing+=("$name")
        done
        [ ${#missing[@]} = 0 ] || stop "Not set in ${DOTENV_FILE:-.env}, and without a default in production: ${missing[*]}."
    fi
    # Full paths: compose takes "site" for the name of a volume.
    WORK_DIR=$(realpath -m "$(setting WORK_DIR "$CHECKOUT/workdir-docker")")
    HIGH_PRIVACY_STORAGE_BASE=$(realpath -m "$(setting HIGH_PRIVACY_STORAGE_BASE "$WORK_DIR/high_privacy")")
    MEDIUM_PRIVACY_STORAGE_BASE=$(realpath -m "$(setting MEDIUM_PRIVACY_STORAGE_BASE "$WORK_DIR/medium_privacy")")
    DOTENV=$(realpath "${DOTENV_FILE:-.env}")
    SECRETS=$(realpath -m "$(setting SECRETS "$CHECKOUT/secrets")")
    WEB_ADDRESS=$(setting WEB_ADDRESS "127.0.0.1:${PORT:-8000}")
    [[ ${WEB_ADDRESS##*:} =~ ^[0-9]{1,5}$ && ${WEB_ADDRESS##*:} -lt 65536 ]] || stop "The pages' port is a number: PORT=8000 (or WEB_ADDRESS=127.0.0.1:8000)."
    SYNC_OPTIONS=$(setting SYNC_OPTIONS "$(is_asked_by_a_job_server || echo --plan-only)")
    JOB_RUNNER_IMAGE=$IMAGE
    CODE=/srv/jobrunner
    if [ "$ENV" = dev ]; then CODE=$CHECKOUT; fi
    find_engine_of_jobs
    SETTINGS_STATE=$(state_of_settings)
    export SETTINGS_STATE WORK_DIR HIGH_PRIVACY_STORAGE_BASE MEDIUM_PRIVACY_STORAGE_BASE DOTENV SECRETS WEB_ADDRESS SYNC_OPTIONS
    export JOB_RUNNER_IMAGE CODE CHECKOUT JOBS_ENGINE DOCKER_SOCKET DOCKER_GID
}

# Changes when .env or a secret does, so that compose makes the services anew: they read both only as they start. Of the
# secrets only size and time, as whoever sees containers sees this.
state_of_settings() {
    local name
    {
        cat "$DOTENV"
        for name in $(names_of_secrets); do stat -L -c '%n %s %Y %i' "$SECRETS/$name" 2>/dev/null || true; done
    } | sha256sum | cut -c1-16
}

names_of_secrets() { sed -nE 's/^  ([A-Z_]+): .file: .*SECRETS.*/\1/p' compose.yaml; }

is_asked_by_a_job_server() {
    [ -n "$(setting JOB_SERVER_ENDPOINT)$(setting RAP_API_TOKENS)" ] || [ -s "$SECRETS/RAP_API_TOKENS" ]
}

# JOBS_ENGINE: the engine of the jobs as `run` calls it. This machine's own is there through its socket; one elsewhere
# is called by its address, and compose, which starts the services here, must not take that address for its own.
find_engine_of_jobs() {
    local address
    address=$(setting DOCKER_HOST unix:///var/run/docker.sock)
    case $address in
    unix://*)
        export DOCKER_HOST=$address
        JOBS_ENGINE=unix:///var/run/docker.sock
        DOCKER_SOCKET=$(realpath "${address#unix://}")
        # Of the socket as it is in a container, which is another group with Docker Desktop: then DOCKER_GID=0.
        DOCKER_GID=$(setting DOCKER_GID "$(stat -c %g "$DOCKER_SOCKET" 2>/dev/null || echo 0)")
        ;;
    *)
        export DOCKER_HOST=${ENGINE_OF_SERVICES:-unix:///var/run/docker.sock}
        # In a container "localhost" is the container.
        JOBS_ENGINE=$(sed -E 's#^(ssh://([^@/]*@)?)(localhost|127\.0\.0\.1)(:|$)#\1host.docker.internal\4#' <<<"$address")
        DOCKER_SOCKET=/dev/null DOCKER_GID=$(setting DOCKER_GID 65534)
        if [[ $address = ssh://* ]]; then
            export JOBS_ENGINE_KEY=/run/secrets/SSH_KEY JOBS_ENGINE_KNOWN_HOSTS=/run/secrets/SSH_KNOWN_HOSTS
        fi
        ;;
    esac
}

# find_user: USER_OF_IMAGE, whom the services are.
find_user() {
    USER_OF_IMAGE=$(docker image inspect "$IMAGE" --format '{{index .Config.Labels "org.jobrunner.user"}}')
    export JOB_RUNNER_USER=$USER_OF_IMAGE
}

# for_services COMMAND…: as whoever may give files to the user of the image: root here, or root of the engine's host, which
# is this machine, through a container that sees PLACES.
for_services() {
    local each mounts=()
    if [ "$(id -u)" = 0 ] || [ "$(id -u)" = "$USER_OF_IMAGE" ]; then
        "$@"
        return
    fi
    for each in "${PLACES[@]}"; do
        # The nearest folder that is there: Docker would make a missing one, and it would be root's.
        until [ -d "$each" ]; do each=$(dirname "$each"); done
        [[ " ${mounts[*]} " = *" $each:$each "* ]] || mounts+=(-v "$each:$each")
    done
    docker run --rm --interactive --user 0 --network none --entrypoint "" "${mounts[@]}" "$IMAGE" "$@"
}

# secret_file NAME: what comes on standard input, as a whole; one that is the same stays as it is.
secret_file() {
    # shellcheck disable=SC2016 # expanded by the shell that runs it
    for_services sh -ec 'umask 077; trap "rm -f \"\$1.new\"" EXIT; cat >"$1.new"; chown "$2:$2" "$1.new"
        if cmp -s "$1.new" "$1"; then rm "$1.new"; else mv "$1.new" "$1"; fi' sh "$SECRETS/$1" "$USER_OF_IMAGE"
}

# Folders and secrets of the services, for the user that the image runs as.
have_places() {
    local name mended
    PLACES=("$WORK_DIR" "$HIGH_PRIVACY_STORAGE_BASE" "$MEDIUM_PRIVACY_STORAGE_BASE" "$SECRETS")
    for name in "${PLACES[@]}" "$WORK_DIR/database" "$WORK_DIR/repos"; do
        for_services sh -c '[ -d "$1" ] || install -d -m 700 -o "$2" -g "$2" "$1"' sh "$name" "$USER_OF_IMAGE"
    done
    # Compose looks whether the files are there, as whoever calls it; what is in them stays the services'.
    for_services chmod 711 "$SECRETS"
    for name in $(names_of_secrets); do
        for_services test -e "$SECRETS/$name" || secret_file "$name" </dev/null
    done
    # shellcheck disable=SC2016 # expanded by the shell that runs it
    # shellcheck disable=SC2046 # names without blanks
    mended=$(for_services sh -c 'cd "$1" && user=$2 && shift 2 && for each; do
        [ -f "$each" ] && [ ! -L "$each" ] && [ "$(stat -c "%u" "$each")" != "$user" ] || continue
        chown -h "$user:$user" "$each" && chmod 600 "$each" && echo "$each"
    done' sh "$SECRETS" "$USER_OF_IMAGE" $(names_of_secrets))
    if [ -n "$mended" ]; then say "Given to the services' user, $USER_OF_IMAGE: $(echo $mended) in $SECRETS"; fi
    if ! for_services test -s "$SECRETS/SECRET_KEY" && [ -z "$(setting SECRET_KEY)" ]; then
        say "Making a SECRET_KEY: $SECRETS/SECRET_KEY"
        random 48 | secret_file SECRET_KEY
    fi
    # Copies that belong to the services: ssh takes no key that others may read.
    if [[ $JOBS_ENGINE = ssh://* ]]; then
        [ ! -f "$(setting SSH_KEY_FILE)" ] || secret_file SSH_KEY <"$(setting SSH_KEY_FILE)"
        [ ! -f "$(setting SSH_KNOWN_HOSTS_FILE)" ] || secret_file SSH_KNOWN_HOSTS <"$(setting SSH_KNOWN_HOSTS_FILE)"
    fi
    local mode owner
    read -r mode owner <<<"$(stat -c '%a %u' "$DOTENV")"
    SETTINGS_STATE=$(state_of_settings) # the copies belong to it
    if [ "$owner" != "$USER_OF_IMAGE" ] && [ $((8#$mode & 4)) = 0 ]; then
        stop "$DOTENV cannot be read by the services, which are user $USER_OF_IMAGE: move the secrets that are in it to" \
            "$SECRETS (a file for each, named as the setting), then 'chmod 644 $DOTENV'."
    fi
}

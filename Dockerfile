# The job runner as an image: `make docker-build` (docs/containers.md). No "syntax" line and no base that only one registry
# has: it must build where nothing but Debian's and Python's packages can be reached. What the building machine needs to
# reach them comes as a secret (scripts/docker/machine.py) and is in no layer.

# Debian's Python has to be 3.11 or newer: 12 (bookworm) or later. scripts/base_image.sh makes it where no registry answers.
ARG BASE_IMAGE=debian:bookworm-slim

# --- base: Python, git, ssh for engines on other machines, and what Graphviz in its wheel expects to find
FROM ${BASE_IMAGE} AS base
RUN --mount=type=secret,id=machine --mount=type=bind,source=scripts/image,target=/run/image \
    sh /run/image/as_the_machine.sh sh /run/image/packages.sh python3 git openssh-client ca-certificates \
        libglib2.0-0 libx11-6 libxext6 libxrender1
ENV PATH=/opt/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

# --- builder: the virtual environment; nothing else of this stage is kept
FROM base AS builder
RUN --mount=type=secret,id=machine --mount=type=bind,source=scripts/image,target=/run/image \
    sh /run/image/as_the_machine.sh sh /run/image/packages.sh python3-venv
COPY requirements.txt /build/
RUN --mount=type=secret,id=machine --mount=type=bind,source=scripts/image,target=/run/image \
    sh /run/image/as_the_machine.sh sh /run/image/environment.sh /build/requirements.txt

# --- prod: the code, which belongs to root, run by somebody who is not
FROM base AS prod
ARG USER_ID=10001
RUN groupadd --gid "$USER_ID" jobrunner \
    && useradd --uid "$USER_ID" --gid "$USER_ID" --no-log-init --no-create-home --home-dir /nonexistent \
        --shell /usr/sbin/nologin jobrunner \
    && rm -f /etc/passwd- /etc/group- /etc/shadow- /etc/gshadow- /etc/subuid- /etc/subgid-
COPY --from=builder /opt/venv /opt/venv
WORKDIR /srv/jobrunner
COPY manage.py LICENSE ./
COPY scripts/container scripts/container
COPY static static
COPY templates templates
COPY jobrunner_site jobrunner_site
COPY jobs jobs
COPY sync sync
COPY runner runner
# The settings that production needs are only looked at here: nothing of these is in the image.
RUN PYTHONDONTWRITEBYTECODE= python3 -m compileall -q --invalidation-mode unchecked-hash . \
    && JOB_RUNNER_MODE=production BACKEND=build ALLOWED_HOSTS=localhost WORK_DIR=/tmp/build \
        HIGH_PRIVACY_STORAGE_BASE=/tmp/build/high MEDIUM_PRIVACY_STORAGE_BASE=/tmp/build/medium \
        SECRET_KEY="$(head -c 60 /dev/urandom | base64 -w 0)" \
        python manage.py collectstatic --no-input --verbosity 0 \
    && find staticfiles -name '*.map*' -delete \
    && rm -rf /tmp/build
# Secrets are files there, one a setting, if the service has them at all.
ENV SECRETS_DIR=/run/secrets
ARG REVISION=unknown
RUN echo "$REVISION" >REVISION
USER jobrunner
ENTRYPOINT ["/srv/jobrunner/scripts/container/service.sh"]
CMD ["bash"]
# For the pages, which is what most would start alone; compose.yaml has one for each service.
HEALTHCHECK --interval=60s --timeout=10s --start-period=60s CMD ["python", "scripts/container/sign_of_life.py"]
ARG CREATED=unknown
ARG VERSION=unknown
LABEL org.jobrunner.user=$USER_ID \
    org.opencontainers.image.title="Job runner" \
    org.opencontainers.image.source="https://github.com/opensafely-core/job-runner" \
    org.opencontainers.image.revision=$REVISION \
    org.opencontainers.image.created=$CREATED \
    org.opencontainers.image.version=$VERSION

# --- dev: what tests need besides, and no code: a checkout is mounted
FROM base AS dev
RUN --mount=type=secret,id=machine --mount=type=bind,source=scripts/image,target=/run/image \
    mkdir -p /etc/postgresql-common/createcluster.d \
    && echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.d/jobrunner.conf \
    && WITH_PERL=yes sh /run/image/as_the_machine.sh sh /run/image/packages.sh python3-venv make procps iproute2 util-linux \
        curl openssl docker.io busybox-static chromium openssh-server nginx-light postgresql
COPY requirements.dev.txt requirements.txt /build/
RUN --mount=type=secret,id=machine --mount=type=bind,source=scripts/image,target=/run/image \
    sh /run/image/as_the_machine.sh sh /run/image/environment.sh /build/requirements.dev.txt keep-pip
ARG USER_ID=10001
RUN groupadd --gid "$USER_ID" jobrunner && useradd --uid "$USER_ID" --gid "$USER_ID" --no-log-init --create-home jobrunner
ENV SECRETS_DIR=/run/secrets
WORKDIR /srv/jobrunner
COPY scripts/container scripts/container
USER jobrunner
ENTRYPOINT ["/srv/jobrunner/scripts/container/service.sh"]
CMD ["bash"]
ARG REVISION=unknown
ARG CREATED=unknown
LABEL org.jobrunner.user=$USER_ID org.opencontainers.image.revision=$REVISION org.opencontainers.image.created=$CREATED

#!/usr/bin/env bash
# The whole system on this machine: `make demo-server`. A fake job-server, sync, run and the web pages; one request of the
# demo study is asked for at the start and can be watched on its way. Ctrl-C ends everything.
#
# RAP=1: the job-server calls this site (the RAP API) instead of being polled. ONCE=1: end as soon as the request has.
# PORT and SERVER_PORT choose the ports of the pages and of the job-server, DEMO_WORK_DIR the folder, which is emptied.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/messages.sh
. scripts/processes.sh

python=$PWD/.venv/bin/python
port=${PORT:-8000}
server_port=${SERVER_PORT:-8001}
is_called=${RAP:-}
WORK_DIR=${DEMO_WORK_DIR:-$PWD/workdir/demo-server}
end() {
    end_all
    remove_containers
    say "Stopped. What it has left is in $WORK_DIR; the next start begins anew."
}

# Those that ran on when the runner was stopped: nobody will adopt them.
remove_containers() {
    "$python" -c 'import sys, docker
client = docker.from_env()
for found in client.containers.list(all=True, filters={"label": f"org.jobrunner.instance={sys.argv[1]}"}):
    found.remove(force=True)' "$INSTANCE" || true
}

ended() {
    "$python" manage.py shell -v0 -c 'import sys; from jobs.models import Job, Delivery
sys.exit(not Job.objects.exists() or Job.objects.active().exists() or Delivery.objects.unsettled().exists())'
}

scripts/setup.sh
scripts/engine.sh
own_folder demo-server "; or choose another folder: DEMO_WORK_DIR=… make demo-server"
# The folder is emptied, so that each start begins anew.
rm -rf "$WORK_DIR"
mkdir "$WORK_DIR"
free_port "$port" PORT "make demo-server"
free_port "$server_port" SERVER_PORT "make demo-server"
export DOCKER_REGISTRY=jobrunner-demo
"$python" scripts/images.py jobrunner-demo/python:v2 jobrunner-demo/r:v2
scripts/demo_study.sh

# Settings of its own: nothing of this installation is read or touched.
export DOTENV_FILE="" JOB_RUNNER_MODE=development BACKEND=demo WORK_DIR
# Named after the folder, so that the next start finds what one that was killed has left, whatever its port.
INSTANCE=demo-server-$(printf %s "$WORK_DIR" | cksum | cut -d " " -f 1)
export INSTANCE
unset DATABASE_URL HIGH_PRIVACY_STORAGE_BASE MEDIUM_PRIVACY_STORAGE_BASE GIT_REPO_DIR HOST_WORK_DIR EXECUTOR
unset "${!JOB_SERVER_@}" "${!RAP_@}"
remove_containers

token=$(secret)
server=(-m tests.fakes.job_server --port "$server_port" --backend demo --token "$token" --repo-url "$PWD/demo/repo" --ask
    --example "Fill in an action that takes a minute, to cancel it" "workspace=slow&branch=slow&actions=readings_by_month")
if [ "$is_called" ]; then
    RAP_API_TOKENS=$(secret)
    export RAP_API_TOKENS
    server+=(--runner-url "http://127.0.0.1:$port/controller/v1/" --runner-token "$RAP_API_TOKENS")
else
    export JOB_SERVER_ENDPOINT=http://127.0.0.1:$server_port/api/v2/ JOB_SERVER_TOKEN=$token
fi
"$python" manage.py migrate --no-input --verbosity 0
password=$("$python" manage.py add_person demo --role superuser | sed -n 's/^password: //p')

trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
# The job-server first: sync would have to report that it cannot be reached.
begin "The fake job-server" job-server "$python" "${server[@]}"
until_true 30 "An answer of the job-server" answers "http://127.0.0.1:$server_port/"
begin "manage.py runserver" web "$python" manage.py runserver --noreload "127.0.0.1:$port"
begin "manage.py sync" sync "$python" manage.py sync
begin "manage.py run" run "$python" manage.py run
until_true 60 "An answer of the pages" answers "http://127.0.0.1:$port/login/"
say "The job-server: http://127.0.0.1:$server_port/ (ask for actions there, cancel them, watch their states)"
say "The job runner: http://127.0.0.1:$port/ (log in as demo with the password $password)"
if [ "$is_called" ]; then
    say "The RAP API:    http://127.0.0.1:$port/controller/v1/docs/ (what the job-server calls)"
fi
say "Health:         http://127.0.0.1:$port/healthz/   Logs: $WORK_DIR/*.log"
say "A request of the demo study is on its way. Ctrl-C ends everything."
if [ "${ONCE:-}" ]; then
    until_true 300 "The end of the request" ended
    say "The request has ended after $SECONDS s."
else
    wait_for_the_first_end
fi

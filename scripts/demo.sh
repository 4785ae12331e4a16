#!/usr/bin/env bash
# Runs the demo study from nothing: `make demo`. Everything that it leaves is in this folder, but for the engine's images.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/messages.sh

python=.venv/bin/python
if [ "${JOB_RUNNER_MODE:-}" = production ] || grep -qsE '^ *(export +)?JOB_RUNNER_MODE=.?production' .env; then
    stop "This installation is in production mode, and the demo would add its jobs to the real ones. Run it in another" \
        "clone of this repository."
fi
scripts/setup.sh
scripts/engine.sh
# The demo's images have a registry name of their own, so that they never stand in for a site's real ones.
export DOCKER_REGISTRY=jobrunner-demo
$python scripts/images.py jobrunner-demo/python:v2 jobrunner-demo/r:v2
scripts/demo_study.sh
$python manage.py migrate --no-input --verbosity 0
# A runner that was started before the first demo looks for the site's own images: every action would fail.
registry=$($python manage.py shell -v0 -c 'import os; from jobs.signs import Signs
run = Signs.read().run
lives = run.is_fresh and os.path.exists("/proc/%s" % run.count("pid"))
print(run.sentence("registry") or "elsewhere" if lives else "")')
if [ -n "$registry" ] && [ "$registry" != "$DOCKER_REGISTRY" ]; then
    stop "A runner works in this folder already (make serve, or manage.py run) and takes its images from $registry, where the" \
        "demo's are not. End it with Ctrl-C, run make demo again, and start it after that: then it knows the demo's images."
fi
if [ ! -e .env ]; then
    say "Writing .env, so that manage.py finds the demo's images"
    cat >.env <<'END'
# Written by `make demo`: the demo's images are below this name. Remove the line to use real images.
DOCKER_REGISTRY=jobrunner-demo
END
fi
# With a runner of its own, or by the one that runs here already; judged by the demo's own jobs only.
$python manage.py add_job demo/repo run_all --workspace demo --force-run-dependencies --wait
say "The demo took $SECONDS s."
say "To look at it in a browser: make serve (it makes an account and says where the dashboard is)."

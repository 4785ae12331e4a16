#!/usr/bin/env bash
# The job runner as it is set up here, all of it: sync, run and the web pages, until Ctrl-C: `make serve`.
#
# On its first use it makes an account to sign in with, and says its password once. PORT chooses the port of the pages.
# Settings are those of .env and the environment, as for manage.py. For a site in
# production use a service manager instead (docs/production.md).
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/messages.sh
. scripts/processes.sh

python=$PWD/.venv/bin/python
port=${PORT:-8000}
account=demo

# setting NAME: as manage.py reads it.
setting() { "$python" manage.py shell -v0 -c "from django.conf import settings; print(settings.$1)"; }

# add_account: at most once; whoever has lost the password makes a new one with the command that is named.
add_account() {
    local said
    said=$("$python" manage.py add_person "$account" --role operator --if-missing)
    if [ -n "$said" ]; then
        say "A first account: sign in as $account with the $(tail -n 1 <<<"$said"). It is shown only now."
        say "It is an operator's; for one who looks after people: .venv/bin/python manage.py add_person NAME" \
            "--role administrator"
    else
        say "Sign in as $account, or with your own account. A new password:" \
            ".venv/bin/python manage.py add_person $account --again"
    fi
}

end() {
    end_all
    say "Stopped. Jobs whose containers still run are taken up at the next start."
}

# Django's own pages about errors are for who changes the code: `make serve DEBUG=true`.
export DEBUG=${DEBUG:-false}
scripts/setup.sh
WORK_DIR=$(setting WORK_DIR)
if [ "$(setting PRODUCTION)" = True ]; then
    stop "This installation is in production mode. Let a service manager start its three processes: docs/production.md."
fi
[ "$(setting EXECUTOR)" = fake ] || scripts/engine.sh
own_folder "make serve" ""
free_port "$port" PORT "make serve"
"$python" manage.py migrate --no-input --verbosity 0
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
begin "The web server" web "$python" -m gunicorn --config python:jobrunner_site.gunicorn_conf --bind "127.0.0.1:$port"
plan_only=()
if [ -z "$(setting JOB_SERVER_ENDPOINT)" ] && [ "$(setting RAP_API_TOKENS)" = "{}" ]; then plan_only=(--plan-only); fi
begin "manage.py sync${plan_only[*]:+ ${plan_only[*]}}" sync "$python" manage.py sync ${plan_only[@]+"${plan_only[@]}"}
begin "manage.py run" run "$python" manage.py run
until_true 60 "An answer of the pages" answers "http://127.0.0.1:$port/login/"
say "The dashboard:  http://127.0.0.1:$port/"
add_account
if [ ${#plan_only[@]} -gt 0 ]; then say "No job-server is named in the settings; .venv/bin/python manage.py add_job adds jobs."; fi
say "Logs:           $WORK_DIR/web.log, sync.log and run.log"
say "Ctrl-C ends everything."
wait_for_the_pages

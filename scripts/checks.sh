#!/usr/bin/env bash
# Every check, each with its time: `scripts/checks.sh lint`, or `scripts/checks.sh all` for the tests as well.
# All run even when one fails, so that one call shows everything; the exit code is 1 if any failed.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/messages.sh

python=.venv/bin/python
failed=()

# check NAME COMMAND…
check() {
    local name=$1 started=$SECONDS
    shift
    say "$name"
    "$@" || failed+=("$name")
    if [ $((SECONDS - started)) -ge 5 ]; then say "$name: $((SECONDS - started)) s"; fi
}

# The settings of the tests: a check must not touch, or depend on, this installation's own database and .env.
manage() { DJANGO_SETTINGS_MODULE=tests.settings $python manage.py "$@"; }

# In two halves side by side: the tests of the real engine and of a browser mostly wait for those. Each half keeps a
# database and folders of its own; what they have reached is put together at the end.
tests() {
    local log engine_half rest=0 engine=0
    log=$(mktemp)
    COVERAGE_FILE=$PWD/.coverage.engine $python -m pytest -m "needs_docker or needs_browser" --cov --cov-report= "$@" >"$log" 2>&1 &
    engine_half=$!
    COVERAGE_FILE=$PWD/.coverage.rest $python -m pytest -m "not needs_docker and not needs_browser" --cov --cov-report= "$@" || rest=$?
    wait $engine_half || engine=$?
    cat "$log"
    rm "$log"
    $python -m coverage combine --quiet .coverage.engine .coverage.rest && $python -m coverage report
    [ $rest -eq 0 ] && [ $engine -eq 0 ]
}

no_merge_marks() { ! git grep -nE '^(<<<<<<<|>>>>>>>) ' -- .; }

check "Marks of unfinished merges" no_merge_marks
check "Format (mended by: make format)" $python -m ruff format --check --quiet .
check "Lint" $python -m ruff check --quiet .
check "Migrations (made by: manage.py makemigrations)" manage makemigrations --check --dry-run
check "Django's own checks" manage check --fail-level WARNING
if [ "${1:-all}" = all ]; then check "Tests" tests "${@:2}"; fi

if [ ${#failed[@]} -gt 0 ]; then stop "Failed after $SECONDS s: $(printf '%s; ' "${failed[@]}")see above."; fi
say "All passed in $SECONDS s."

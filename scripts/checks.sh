#!/usr/bin/env bash
# Every check, each with its time: `scripts/checks.sh lint`, `scripts/checks.sh all` for the tests as well, and
# `scripts/checks.sh coverage` for the tests and what of the code they reach (half as long again). `scripts/checks.sh tests`
# is the tests alone, on whatever database they find (scripts/postgres.sh).
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

# In two halves side by side: the tests of real engines and of a browser mostly wait for those. Each half keeps a
# database and folders of its own.
tests() {
    local log engine_half rest=0 engine=0
    log=$(mktemp)
    COVERAGE_FILE=$PWD/.coverage.engine $python -m pytest -m "needs_docker or needs_browser or needs_podman" "$@" >"$log" 2>&1 &
    engine_half=$!
    COVERAGE_FILE=$PWD/.coverage.rest $python -m pytest -m "not needs_docker and not needs_browser and not needs_podman" "$@" || rest=$?
    wait $engine_half || engine=$?
    cat "$log"
    rm "$log"
    [ $rest -eq 0 ] && [ $engine -eq 0 ]
}

# What touches the database, once more (tests/conftest.py chooses); `make test-postgres` is for all of it.
tests_on_postgresql() { scripts/postgres.sh --if-possible scripts/checks.sh tests --database-only; }

coverage() {
    local failed=0
    tests --cov --cov-report= "$@" || failed=1
    $python -m coverage combine --quiet .coverage.engine .coverage.rest && $python -m coverage report || failed=1
    return $failed
}

no_merge_marks() { ! git grep -nE '^(<<<<<<<|>>>>>>>) ' -- .; }

if [ "${1:-}" = tests ]; then
    tests "${@:2}"
    exit
fi
check "Marks of unfinished merges" no_merge_marks
check "Format (mended by: make format)" $python -m ruff format --check --quiet .
check "Lint" $python -m ruff check --quiet .
check "Migrations (made by: manage.py makemigrations)" manage makemigrations --check --dry-run
check "Django's own checks" manage check --fail-level WARNING
case ${1:-all} in
    all)
        check "Tests" tests "${@:2}"
        check "Tests of the database, on PostgreSQL" tests_on_postgresql
        ;;
    coverage) check "Tests, and what they reach" coverage "${@:2}" ;;
esac

if [ ${#failed[@]} -gt 0 ]; then stop "Failed after $SECONDS s: $(printf '%s; ' "${failed[@]}")see above."; fi
say "All passed in $SECONDS s."

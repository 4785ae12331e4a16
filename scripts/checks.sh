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

engines="needs_docker or needs_browser or needs_podman"
no_engines="not needs_docker and not needs_browser and not needs_podman"

# In two halves side by side: the tests of real engines and of a browser mostly wait for those. Each half keeps a
# database and folders of its own.
tests() {
    beside engines half engine "$engines" "$@"
    local status=0
    half rest "$no_engines" "$@" || status=1
    wait_for_all || status=1
    return $status
}

# As CI does it: what touches the database once more, on PostgreSQL (tests/conftest.py chooses; `make test-postgres` is for
# all of it), in a third row beside the two, with the engines one after the other.
tests_on_both() {
    beside engines engines_on_both "$@"
    beside postgresql on_postgresql half rest.postgresql "$no_engines" --database-only "$@"
    local status=0
    half rest "$no_engines" "$@" || status=1
    wait_for_all || status=1
    return $status
}

engines_on_both() {
    local status=0
    half engine "$engines" "$@" || status=1
    on_postgresql half engine.postgresql "$engines" --database-only "$@" || status=1
    return $status
}

# half NAME MARKS OPTION…
half() { COVERAGE_FILE=$PWD/.coverage.$1 $python -m pytest -m "$2" "${@:3}"; }

on_postgresql() { scripts/postgres.sh --if-possible scripts/checks.sh "$@"; }

# beside NAME COMMAND…: begins it, in a process group of its own; what it prints comes with `wait_for_all`, which fails if
# one has failed.
beside() {
    set -m
    "${@:2}" </dev/null >"$kept/$1" 2>&1 &
    set +m
    rows+=("$1 $!")
}

wait_for_all() {
    local row status=0
    for row in "${rows[@]}"; do
        wait "${row#* }" || status=1
        cat "$kept/${row% *}"
    done
    rows=()
    return $status
}

end_all() {
    local row
    for row in "${rows[@]}"; do kill -- "-${row#* }" 2>/dev/null || true; done
    rm -rf "$kept"
}

rows=()
kept=$(mktemp -d)
trap end_all EXIT
trap 'exit 130' INT TERM

coverage() {
    local failed=0
    tests --cov --cov-report= "$@" || failed=1
    $python -m coverage combine --quiet .coverage.engine .coverage.rest && $python -m coverage report || failed=1
    return $failed
}

no_merge_marks() { ! git grep -nE '^(<<<<<<<|>>>>>>>) ' -- .; }

case ${1:-} in tests | half)
    "$@"
    exit
    ;;
esac
check "Marks of unfinished merges" no_merge_marks
check "Format (mended by: make format)" $python -m ruff format --check --quiet .
check "Lint" $python -m ruff check --quiet .
check "Migrations (made by: manage.py makemigrations)" manage makemigrations --check --dry-run
check "Django's own checks" manage check --fail-level WARNING
case ${1:-all} in
    all)
        check "Tests, and those of the database on PostgreSQL, too" tests_on_both "${@:2}"
        ;;
    coverage) check "Tests, and what they reach" coverage "${@:2}" ;;
esac

if [ ${#failed[@]} -gt 0 ]; then stop "Failed after $SECONDS s: $(printf '%s; ' "${failed[@]}")see above."; fi
say "All passed in $SECONDS s."

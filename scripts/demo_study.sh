#!/usr/bin/env bash
# Makes the git repository demo/repo from demo/study. The same content always gives the same commits, on every machine;
# nothing is touched when the repository is there already. Its branch `slow` is the same study, but one of its actions
# takes a minute: long enough for a person to cancel it.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/messages.sh

study=$PWD/demo/study
repo=$PWD/demo/repo
fresh=$PWD/demo/.repo-being-made

# git with nobody's configuration, and without what a hook that called us would hand down (GIT_DIR and its like).
plain_git() {
    env -i PATH="$PATH" LC_ALL=C GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null \
        GIT_AUTHOR_NAME="Demo study" GIT_AUTHOR_EMAIL=demo@example.org GIT_AUTHOR_DATE="2026-01-01T00:00:00Z" \
        GIT_COMMITTER_NAME="Demo study" GIT_COMMITTER_EMAIL=demo@example.org \
        GIT_COMMITTER_DATE="2026-01-01T00:00:00Z" git -c core.fileMode=false -c core.autocrlf=false "$@"
}

command -v git >/dev/null || stop "git was not found. On Debian or Ubuntu install it with 'apt-get install git'."
rm -rf "$fresh"
mkdir "$fresh"
cp -R "$study/." "$fresh"
plain_git -C "$fresh" init --quiet --initial-branch=main --object-format=sha1
plain_git -C "$fresh" add --all --force
plain_git -C "$fresh" commit --quiet --message "The demo study" --no-verify
plain_git -C "$fresh" checkout --quiet -b slow
sed 's/sleep 0.1/sleep 5/' "$study/analysis/readings_by_month.sh" >"$fresh/analysis/readings_by_month.sh"
plain_git -C "$fresh" commit --all --quiet --message "Take a minute for the readings by month" --no-verify
plain_git -C "$fresh" checkout --quiet main
commits_of() { plain_git -C "$1" rev-parse HEAD refs/heads/slow 2>/dev/null; }

if [ -d "$repo/.git" ] && [ "$(commits_of "$repo")" = "$(commits_of "$fresh")" ]; then
    rm -rf "$fresh"
    exit 0
fi
if [ -d "$repo/.git" ] && [ -n "$(plain_git -C "$repo" status --porcelain 2>/dev/null)" ]; then
    rm -rf "$fresh"
    stop "demo/repo holds changes of yours, and this would replace them. Make them in demo/study instead, or remove" \
        "demo/repo; then run this again."
fi
rm -rf "$repo"
mv "$fresh" "$repo"
commit=$(plain_git -C "$repo" rev-parse HEAD)
say "Made the study's git repository demo/repo at commit ${commit:0:12}"

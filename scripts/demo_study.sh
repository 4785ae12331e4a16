#!/usr/bin/env bash
# Makes the git repository demo/repo from demo/study. The same content always gives the same commit, on every machine;
# nothing is touched when the repository is there already.
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
commit=$(plain_git -C "$fresh" rev-parse HEAD)

if [ "$(plain_git -C "$repo" rev-parse HEAD 2>/dev/null)" = "$commit" ] && [ -d "$repo/.git" ]; then
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
say "Made the study's git repository demo/repo at commit ${commit:0:12}"

#!/usr/bin/env bash
# Makes sure that there is a Chromium for the tests that look at the pages in a real browser: Debian's own, which needs no
# download by Playwright. Says nothing when it is there.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/messages.sh

chromium=/usr/bin/chromium

# Ubuntu's package of this name only leads to snap, which starts nothing here: so it is really started.
starts() { "$chromium" --version >/dev/null 2>&1; }

if starts; then exit 0; fi
if ! may_install_packages; then
    advice="No Chromium starts as $chromium. Debian: 'sudo apt-get install chromium', then run this again."
    [ -z "${CI:-}" ] || stop "$advice"
    say "$advice The tests in a real browser are left out until then."
    exit 0
fi
install_packages chromium
starts || stop "$chromium was installed but does not start: see what '$chromium --version' says. Ubuntu's package leads to" \
    "snap, which is not enough: use Debian's, or Google Chrome linked to $chromium."

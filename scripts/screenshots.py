"""`make screenshots`: the pictures in docs/screenshots, taken anew from the showcase in a real browser.

Fills a folder of its own, serves it, takes each picture, and removes the folder. Needs scripts/browser.sh's Chromium.
"""

import os
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "screenshots"
MOST_BYTES = 200 * 1024
DESK, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 780}
# File -> page of tests/browser/pages.py, size, colours.
PICTURES = {
    "jobs": ("jobs", DESK, "light"),
    "jobs-dark": ("jobs", DESK, "dark"),
    "jobs-phone": ("jobs", PHONE, "light"),
    "request": ("request running", DESK, "light"),
    "job-log": ("job-log", DESK, "dark"),
    "job-outputs": ("job ended outputs", DESK, "light"),
    "system": ("system", DESK, "light"),
    "workspace": ("workspace", DESK, "light"),
}


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    sys.path.insert(0, str(ROOT))
    import django

    django.setup()
    from tests.browser.served import Served

    FOLDER.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="jobrunner-screenshots-") as folder,
        Served(Path(folder), rich=True, MAX_WORKERS="6", MAX_DB_WORKERS="3") as site,
    ):
        take(site)


def take(site) -> None:
    from playwright.sync_api import sync_playwright

    from tests.browser.conftest import CHROMIUM
    from tests.browser.pages import PAGES

    beat = "from tests.showcase.backend import beat; beat()"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for name, (page_name, size, colours) in PICTURES.items():
            context = browser.new_context(viewport=size, color_scheme=colours, reduced_motion="reduce")
            page = context.new_page()
            log_in(page, site.url)
            site.manage("shell", "-v0", "-c", beat)  # or the pages would say that nobody is at work
            page.goto(site.url + PAGES[page_name], wait_until="networkidle")
            file = FOLDER / f"{name}.png"
            page.screenshot(path=file)
            context.close()
            print(f"▸ {file.relative_to(ROOT)}: {file.stat().st_size // 1024} KB")
            if file.stat().st_size > MOST_BYTES:
                raise SystemExit(f"{file} is larger than {MOST_BYTES // 1024} KB: take less of the page.")
        browser.close()


def log_in(page, url: str) -> None:
    from tests.web import PASSWORD

    page.goto(f"{url}/login/")
    page.get_by_label("Name").fill("operator")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/jobs/**")


if __name__ == "__main__":
    main()

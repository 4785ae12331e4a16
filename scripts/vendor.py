"""Copies the browser's libraries from npm packages to static/vendor: run it whenever a version changes.

The copies are committed, so that neither building nor running needs npm or a network. VENDOR.json says what each file
is and its sha256; a test compares. Needs npm, and nothing of the packages is run.
"""

import hashlib
import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ROOT / "scripts" / "vendored"
VENDOR = ROOT / "static" / "vendor"
# Name in static/vendor -> package and file in it.
FILES = {
    "tabler.min.css": ("@tabler/core", "dist/css/tabler.min.css"),
    "htmx.min.js": ("htmx.org", "dist/htmx.min.js"),
    "hx-ptag.min.js": ("htmx.org", "dist/ext/hx-ptag.min.js"),
    "hotkey.js": ("@github/hotkey", "dist/index.js"),
    "relative-time.js": ("@github/relative-time-element", "dist/bundle.js"),
    "uplot.min.js": ("uplot", "dist/uPlot.iife.min.js"),
    "uplot.min.css": ("uplot", "dist/uPlot.min.css"),
}
_SOURCE_MAP = re.compile(rb"\n?(?://|/\*)# sourceMappingURL=[^\n]*\n?")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name in ("package.json", "package-lock.json"):
            if (PACKAGES / name).exists():
                shutil.copy(PACKAGES / name, folder)
        command = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
        subprocess.run(command, cwd=folder, check=True)
        lock = Path(folder, "package-lock.json").read_text()
        # Where this machine fetches packages from is nobody's business, and holds nowhere else.
        (PACKAGES / "package-lock.json").write_text(re.sub(r'\n *"resolved": "[^"]*",', "", lock))
        copy(Path(folder, "node_modules"))


def copy(packages: Path) -> None:
    VENDOR.mkdir(parents=True, exist_ok=True)
    known = {}
    for name, (package, path) in FILES.items():
        about = json.loads((packages / package / "package.json").read_text())
        # The maps are not copied, and storage of hashed names refuses what refers to a missing file.
        content = _SOURCE_MAP.sub(b"\n", (packages / package / path).read_bytes())
        (VENDOR / name).write_bytes(content)
        known[name] = {
            "package": package,
            "version": about["version"],
            "licence": about["license"],
            "file": path,
            "sha256": hashlib.sha256(content).hexdigest(),
        }
    (VENDOR / "VENDOR.json").write_text(json.dumps(known, indent=2) + "\n")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Write the state diagram into the README again, after a change of the tables in jobs/states.py.

.venv/bin/python scripts/state_diagram.py
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from jobs.states import as_mermaid  # noqa: E402 - the path must be there first

BEGIN, END = "<!-- state diagram -->\n", "<!-- /state diagram -->"


def main() -> None:
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    if BEGIN not in text or END not in text:
        raise SystemExit(f"README.md has lost the lines {BEGIN.strip()} and {END} between which the diagram belongs.")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    readme.write_text(f"{before}{BEGIN}```mermaid\n{as_mermaid()}```\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()

"""What real job-servers of three years answered (`tests/fixtures/contract`), for tests to feed and to compare with."""

import json
from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).parent / "fixtures" / "contract"
ERAS = ("2021-09", "2025-05", "2026-08")


def exchanges(first: int = 1, last: int = 14) -> Iterator[tuple[str, dict]]:
    """(A name for the test, the exchange) of the files with these numbers, which are all of the polling API."""
    for number in range(first, last + 1):
        (path,) = FOLDER.glob(f"{number:02}-*.json")
        for place, exchange in enumerate(json.loads(path.read_text())["exchanges"]):
            yield f"{number:02}-{place}-{exchange['name']}-{exchange['era']}", exchange


def body(response: dict) -> tuple[bytes, str]:
    """The recorded body and its type."""
    if "json" in response:
        return json.dumps(response["json"]).encode(), "application/json"
    text = response.get("text") or ""
    return text.encode(), "text/html" if text.startswith("<") else "text/plain"

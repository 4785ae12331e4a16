"""What the fake executor's jobs leave behind: a small plausible file for each output that the action promises."""

import base64
import gzip
from collections.abc import Mapping
from pathlib import PurePosixPath

_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAGHRftQAAAABJRU5ErkJggg=="
_SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="40" height="40"><rect width="20" height="40"/></svg>\n'
_CSV = b"region,count\nnorth,120\nsouth,80\n"
_TEXT = b"Made by the fake executor.\n"
_BY_SUFFIX = {
    ".csv": _CSV,
    ".gz": gzip.compress(_CSV, mtime=0),
    ".html": b"<!doctype html>\n<title>Report</title>\n<p>Made by the fake executor.</p>\n",
    ".json": b'{"north": 120, "south": 80}\n',
    ".png": base64.b64decode(_PIXEL),
    ".svg": _SVG,
    ".svgz": gzip.compress(_SVG, mtime=0),
}


def files_for(patterns: tuple[str, ...]) -> Mapping[str, bytes]:
    """Path -> content: one file for each pattern, with "example" for every `*`."""
    paths = [pattern.replace("*", "example") for pattern in patterns]
    return {path: _BY_SUFFIX.get(PurePosixPath(path).suffix, _TEXT) for path in paths}

"""May this file leave the high-privacy store? The checks for `moderately_sensitive` outputs.

They fail closed: a file is allowed only if it was read to its end, is what its name says, and no rule refused it. They
stop accidents and the obvious; people review what passes. Pure: reads the open file it is given and nothing else, and
knows nothing of Django, Docker, the database or where the file lies.
"""

import logging
import re
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import BinaryIO

from jobs.errors import Stopped
from runner.disclosure.csv_files import check_csv
from runner.disclosure.encoded import Embedded
from runner.disclosure.html_files import check_html, check_markdown
from runner.disclosure.json_files import check_json
from runner.disclosure.pictures import check_jpeg, check_png
from runner.disclosure.reading import File, StoppableFile, chunks, text_pieces
from runner.disclosure.rules import Limits, Refusal, Rule, Verdict
from runner.disclosure.svg_files import check_svg, inflated
from runner.disclosure.text_files import check_text

__all__ = ["Limits", "Rule", "Verdict", "check"]

logger = logging.getLogger(__name__)

Shape = tuple[int | None, int | None]  # rows and columns, where the format has them
_NO_SHAPE: Shape = (None, None)


def check(
    file: BinaryIO, path: str, size: int, limits: Limits, *, should_stop: Callable[[], bool] = lambda: False
) -> Verdict:
    """The verdict on one open, seekable file of `size` bytes; `path` is only asked for its extension.

    No content makes it raise: a bug of ours is logged and the file stays inside. Only `OSError` passes (the disk, not
    the file, is in trouble): nothing was decided, ask again later. So does `Stopped`, where `should_stop()` became true
    between two chunks. One pass in bounded memory.
    """
    try:
        rows, columns = _examine(StoppableFile(file, should_stop), path, size, limits)
    except Refusal as refusal:
        return Verdict(False, refusal.rule, refusal.message, refusal.rows, refusal.columns)
    except (OSError, Stopped):
        raise
    except Exception:
        logger.exception("A disclosure check broke; the file was not released.")
        return Verdict(
            False,
            Rule.UNREADABLE,
            "The file could not be checked because of a fault in the job runner. Tell its operators, or write the "
            "output in another format.",
        )
    return Verdict(True, Rule.PASSED, "", rows, columns)


def _examine(file: File, path: str, size: int, limits: Limits) -> Shape:
    extension = PurePosixPath(path).suffix.casefold()
    examine = _EXAMINERS.get(extension)
    if examine is None or extension not in {file_type.casefold() for file_type in limits.file_types}:
        raise _type_refusal(extension, limits)
    if size > limits.max_file_size:
        raise Refusal(
            Rule.SIZE,
            f"The file has {size:,} bytes; at most {limits.max_file_size:,} are allowed. Summarise the data or split "
            "the report, or mark the output highly_sensitive.",
        )
    return examine(file, size, limits)


def _type_refusal(extension: str, limits: Limits) -> Refusal:
    # An extension is a piece of a name that the study chose: only a short and plain one is repeated.
    shown = f"Files of type {extension}" if re.fullmatch(r"\.[a-z0-9]{1,8}", extension) else "Files of this type"
    allowed = " ".join(file_type for file_type in limits.file_types if file_type.casefold() in _EXAMINERS)
    return Refusal(
        Rule.TYPE,
        f"{shown} cannot be checked and are not allowed as moderately_sensitive outputs. "
        f"Allowed are: {allowed}. Write one of these, or mark the output highly_sensitive.",
    )


def _csv(file: File, size: int, limits: Limits) -> Shape:
    return check_csv(Embedded(limits).left_out_of(text_pieces(file, size, "CSV")), limits)


def _text(file: File, size: int, limits: Limits) -> Shape:
    check_text(Embedded(limits).left_out_of(text_pieces(file, size, "text")), limits)
    return _NO_SHAPE


def _markdown(file: File, size: int, limits: Limits) -> Shape:
    check_markdown(text_pieces(file, size, "Markdown"), limits)
    return _NO_SHAPE


def _json(file: File, size: int, limits: Limits) -> Shape:
    check_json(Embedded(limits).left_out_of(text_pieces(file, size, "JSON")), limits)
    return _NO_SHAPE


def _html(file: File, size: int, limits: Limits) -> Shape:
    check_html(text_pieces(file, size, "HTML"), limits)
    return _NO_SHAPE


def _svg(file: File, size: int, limits: Limits) -> Shape:
    check_svg(chunks(file, size), limits)
    return _NO_SHAPE


def _svgz(file: File, size: int, limits: Limits) -> Shape:
    check_svg(inflated(chunks(file, size), limits), limits)
    return _NO_SHAPE


def _png(file: File, size: int, limits: Limits) -> Shape:
    check_png(file, size, limits)
    return _NO_SHAPE


def _jpeg(file: File, size: int, limits: Limits) -> Shape:
    check_jpeg(file, size, limits)
    return _NO_SHAPE


_EXAMINERS: dict[str, Callable[[File, int, Limits], Shape]] = {
    ".csv": _csv,
    ".txt": _text,
    ".log": _text,
    ".md": _markdown,
    ".json": _json,
    ".html": _html,
    ".svg": _svg,
    ".svgz": _svgz,
    ".png": _png,
    ".jpg": _jpeg,
    ".jpeg": _jpeg,
}

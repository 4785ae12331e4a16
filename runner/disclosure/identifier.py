"""Does a text name an identifier such as `patient_id`, however it is spelt?

Case, blanks, `_`, `-`, `.`, full-width letters and invisible characters make no difference: `Patient ID`, `patient-id`
and `PATIENTID` are one name. So are the names that joins leave: `patient_id_x`, `patient_id.1`. Look-alike letters of
other alphabets are not told apart: these checks stop accidents, and people review what passes.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

# Blank, full stop, underscore, hyphen and Unicode's dashes; never a tab, which parts cells.
_IN_WORD = r"._\-\u2010-\u2015\u2212"
_SEPARATOR_IN_WORD = f"[{_IN_WORD}]"
SEPARATOR = f"[ {_IN_WORD}]"
_SEPARATOR_OR_BREAK = rf"[\s{_IN_WORD}]"  # a quoted header may be wrapped over two lines
AROUND_CELL = rf"[\s\"'`{_IN_WORD}]"
_MARK = rf"[^\w {_IN_WORD}]"  # what may part cells: anything that is neither letter nor separator
# Controls (but line ends and tab), soft hyphen, joiners, directions, variation selectors, byte order mark.
_INVISIBLE_ASCII = dict.fromkeys((*range(0x09), *range(0x0E, 0x1C), 0x7F))
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e"
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]"
)
_NOT_LETTERS = re.compile(r"[\W_]+")


def fold(text: str) -> str:
    """`text` in one spelling: lower case, compatibility forms unified, invisible characters gone."""
    if text.isascii():
        return text.translate(_INVISIBLE_ASCII).lower()
    return _INVISIBLE.sub("", unicodedata.normalize("NFKC", text).casefold())


@dataclass(frozen=True)
class Identifier:
    """One identifier's patterns; all are matched against folded text and need time linear in it."""

    name: str  # as the site's settings spell it
    spelling: str  # source of a pattern for its letters and for what a merge appends, without what may stand around it
    loose: re.Pattern  # its letters in a row, wherever they stand: the cheap first question
    cell: re.Pattern  # all of a cell, quotes and blanks around it allowed
    anywhere: re.Pattern  # a cell between any two marks, or a word (without blanks in it) in a sentence


def identifiers(names: Iterable[str]) -> list[Identifier]:
    letters = {name: _NOT_LETTERS.sub("", fold(name)) for name in names}
    return [_identifier(name, spelling) for name, spelling in letters.items() if spelling]


def _identifier(name: str, letters: str) -> Identifier:
    # What a merge of two tables appends: _x and _y (pandas), .x and .y (R), a number (both).
    suffix = r"(?:[._][xy]|[._]?\d+)?"
    spaced = f"{SEPARATOR}*".join(map(re.escape, letters))
    unspaced = f"{_SEPARATOR_IN_WORD}*".join(map(re.escape, letters))
    wrapped = f"{_SEPARATOR_OR_BREAK}*".join(map(re.escape, letters))
    as_quoted_cell = rf"[\"']{_SEPARATOR_OR_BREAK}*{wrapped}{suffix}{_SEPARATOR_OR_BREAK}*[\"']"
    as_cell = rf"(?:\A|(?<={_MARK})){SEPARATOR}*{spaced}{suffix}{SEPARATOR}*(?=\Z|{_MARK})"
    return Identifier(
        name,
        spelling=spaced + suffix,
        loose=re.compile(wrapped),
        cell=re.compile(rf"{AROUND_CELL}*{spaced}{suffix}{AROUND_CELL}*"),
        anywhere=re.compile(rf"{as_cell}|{as_quoted_cell}|(?<!\w){unspaced}{suffix}(?!\w)"),
    )


def named_anywhere(wanted: list[Identifier], folded: str) -> tuple[str, int] | None:
    """The first identifier that stands in this folded text as a cell or word, and where it ends."""
    for identifier in wanted:
        if identifier.loose.search(folded) and (match := identifier.anywhere.search(folded)):
            return identifier.name, match.end()
    return None


def mentioned(wanted: list[Identifier], folded: str) -> bool:
    return any(identifier.loose.search(folded) for identifier in wanted)


def named_by_cell(wanted: list[Identifier], cell: str) -> str | None:
    """The name of the identifier that this whole cell (or JSON key) spells."""
    folded = fold(cell)
    return next((identifier.name for identifier in wanted if identifier.cell.fullmatch(folded)), None)

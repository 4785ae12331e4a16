"""Does a text name an identifier such as `patient_id`, however it is spelt?

Case, blanks, `_`, `-`, `.`, full-width letters and invisible characters make no difference: `Patient ID`, `patient-id`
and `PATIENTID` are one name. So are the names that joins leave (`patient_id_x`, `patient_id.1`) and, where the site's
name is a thing and a word for "identifier", other words for that and another order: `patient_ids`, `patient_no`,
`patient_identifier`, `id_patient`. A count is no identifier: `n_patients`, `patient_count`, `patient_numbers`.
Look-alike letters of other alphabets are not told apart: these checks stop accidents, and people review what passes.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

# Blank, full stop, underscore, slash, hyphen and Unicode's dashes; never a tab, which parts cells.
_NO_MARK = r"._\-\u2010-\u2015\u2212"
_IN_WORD = f"/{_NO_MARK}"
_SEPARATOR_IN_WORD = f"[{_IN_WORD}]"
SEPARATOR = f"[ {_IN_WORD}]"
_SEPARATOR_OR_BREAK = rf"[\s{_IN_WORD}]"  # a quoted header may be wrapped over two lines
AROUND_CELL = rf"[\s\"'`*{_IN_WORD}]"
_MARK = rf"[^\w {_NO_MARK}]"  # what may part cells: anything that is neither letter nor separator
# Controls (but line ends and tab), soft hyphen, joiners, directions, variation selectors, byte order mark.
_INVISIBLE_ASCII = dict.fromkeys((*range(0x09), *range(0x0E, 0x1C), 0x7F))
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e"
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]"
)
_FIGURES = r"(?:\[|\\*[\"']?\d)"
_R_TYPE = r"(?:<[a-z0-9]{1,12}>|\b(?:int|num|chr|dbl|int64)\b)\s{0,20}"
_VALUE = r"(?:[\"']?\d[\w.-]{0,60}[\"']?|[\"'][^\"'\n]{0,60}[\"'])"
_LIST_BEGINS = r"\W{0,4}[=:]\s{0,4}(?:c|list)?[\[(]"
_NOT_LETTERS = re.compile(r"[\W_]+")
# What terminals take as colours: R and Python print bold and dim column names into logs.
_COLOUR = re.compile(r"\x1b\[[0-9;:]{0,40}m")

# "patient_id" is "patient" and a word for identifier; the site's name may use any of these, and so may a column.
_ID_WORDS = ("identifier", "number", "id", "no", "nr", "num")
_ID_WORDS_OF_TWO = ("idnumber", "idno", "idnr", "idnum", "identificationnumber")
_WORDS_BEHIND = (
    *_ID_WORDS,
    "ids",
    "identifiers",
    *_ID_WORDS_OF_TWO,
)  # not "numbers": patient numbers are how many there are
_WORDS_BEFORE = ("id", "identifier")  # not "number" or "no": those count what follows


# What a linkage puts before the name; n_patient_ids and has_patient_id are no identifiers.
_WORDS_OF_LINKAGE = (
    "new",
    "old",
    "linked",
    "index",
    "original",
    "orig",
    "source",
    "target",
    "matched",
    "left",
    "right",
)


def without_colours(text: str) -> str:
    return _COLOUR.sub("", text) if "\x1b" in text else text


def fold(text: str) -> str:
    """`text` in one spelling: lower case, compatibility forms unified, invisible characters and colours gone."""
    text = without_colours(text)
    if text.isascii():
        return text.translate(_INVISIBLE_ASCII).lower()
    return _INVISIBLE.sub("", unicodedata.normalize("NFKC", text).casefold())


@dataclass(frozen=True)
class Identifier:
    """One identifier's patterns; all are matched against folded text and need time linear in it."""

    name: str  # as the site's settings spell it
    spelling: str  # source of a pattern for its letters and for what a merge appends, without what may stand around it
    loose: re.Pattern  # the letters that all spellings share, wherever they stand: the cheap first question
    spelt: re.Pattern  # all letters, wherever they stand: the second
    cell: re.Pattern  # all of a cell, quotes and blanks around it allowed
    anywhere: re.Pattern  # a cell between any two marks, or a word (without blanks in it) in a sentence
    listed: re.Pattern  # in data or code, "patient_id" in quotes of its own or as a name in a header, "age,patient_id\n
    key_of_figures: re.Pattern  # in data or code, "patient_id": [1, 2 … or patient_id: 1001
    figure_behind: re.Pattern  # in a line of text, "patient_id: 1001"
    ends_line: re.Pattern  # "$patient_id" or "patient_ids = [": what may stand above a list of them
    values_behind: (
        re.Pattern
    )  # "$ patient_id <int> 1001, 1002, 1003", as str() and glimpse() print it, or "= [1001, 1002, …"


@lru_cache(maxsize=8)
def identifiers(names: tuple[str, ...]) -> tuple[Identifier, ...]:
    letters = {name: _NOT_LETTERS.sub("", fold(name)) for name in names}
    return tuple(_identifier(name, spelling) for name, spelling in letters.items() if spelling)


def _identifier(name: str, letters: str) -> Identifier:
    # What a merge of two tables appends: _x and _y (pandas), .x and .y (R), _right (polars), a number (all).
    suffix = r"(?:[._](?:[xy]|left|right)|[._ -]?\d+)?"
    thing = _thing(name)
    spaced, unspaced, wrapped = (
        _spellings(letters, thing, separator) for separator in (SEPARATOR, _SEPARATOR_IN_WORD, _SEPARATOR_OR_BREAK)
    )
    linked = rf"(?:(?:{'|'.join(_WORDS_OF_LINKAGE)}){SEPARATOR}{{1,3}})?"
    spaced, unspaced, wrapped = linked + spaced, linked + unspaced, linked + wrapped
    as_quoted_cell = rf"[\"']{_SEPARATOR_OR_BREAK}*{wrapped}{suffix}{_SEPARATOR_OR_BREAK}*[\"']"
    as_cell = rf"(?:\A|(?<={_MARK})){SEPARATOR}*{spaced}{suffix}{SEPARATOR}*(?=\Z|{_MARK})"
    return Identifier(
        name,
        spelling=spaced + suffix,
        spelt=re.compile(wrapped),
        loose=re.compile(_apart(thing or letters, _SEPARATOR_OR_BREAK)),
        cell=re.compile(rf"{AROUND_CELL}*{spaced}{suffix}{AROUND_CELL}*"),
        anywhere=re.compile(rf"{as_cell}|{as_quoted_cell}|(?<!\w){unspaced}{suffix}(?!\w)"),
        listed=re.compile(rf"[\"'`,;\t|]{SEPARATOR}*{spaced}{suffix}{SEPARATOR}*(?:[,;\t|]|\\*[\"'`]|\\+[nrt])"),
        key_of_figures=re.compile(
            rf"[\"']{SEPARATOR}*{spaced}{suffix}{SEPARATOR}*\\*[\"']\s{{0,9}}:\s{{0,9}}{_FIGURES}"
            rf"|(?<![\w.$]){unspaced}{suffix}\s{{0,9}}:\s{{0,9}}{_FIGURES}"
        ),
        figure_behind=re.compile(rf"(?<!\w){spaced}\W{{0,4}}\d"),
        ends_line=re.compile(rf"(?<!\w){spaced}{suffix}(?P<behind>\W{{0,9}})(?:\b(?:c|array|list|set)\W{{1,3}})?\Z"),
        values_behind=re.compile(
            rf"(?<!\w){spaced}(?:[\s:]{{0,40}}{_R_TYPE}|{_LIST_BEGINS})(?:{_VALUE}[,\s]{{1,4}}){{2}}"
        ),
    )


def _thing(name: str) -> str:
    """What a name of two or more words identifies, "patient" of patient_id; "" if no word for identifier ends it."""
    *words, last = _NOT_LETTERS.split(fold(name).strip(" ._-"))
    thing = "".join(words)
    return thing if last in _ID_WORDS and len(thing) > 1 else ""


def _spellings(letters: str, thing: str, separator: str) -> str:
    """Source of a pattern. No two repetitions stand next to each other, so that a match needs linear time."""
    own = _apart(letters, separator)
    if not thing:
        return own
    behind, before = ("|".join(_apart(word, separator) for word in words) for words in (_WORDS_BEHIND, _WORDS_BEFORE))
    possessive = rf"{separator}*(?:['\u2019]?s{separator}*)?"  # patient's id, patients_id
    apart = _apart(thing, separator)
    return rf"(?:{own}s?|{apart}{possessive}(?:{behind})|(?:{before}){separator}*{apart}s?)"


def _apart(letters: str, separator: str) -> str:
    return f"{separator}*".join(map(re.escape, letters))


def named_anywhere(wanted: tuple[Identifier, ...], folded: str) -> tuple[str, int] | None:
    """The first identifier that stands in this folded text as a cell or word, and where it ends."""
    for identifier in wanted:
        if mentioned((identifier,), folded) and (match := identifier.anywhere.search(folded)):
            return identifier.name, match.end()
    return None


def mentioned(wanted: tuple[Identifier, ...], folded: str) -> bool:
    return any(identifier.loose.search(folded) and identifier.spelt.search(folded) for identifier in wanted)


def named_by_cell(wanted: tuple[Identifier, ...], cell: str) -> str | None:
    """The name of the identifier that this whole cell (or JSON key) spells."""
    folded = fold(cell)
    return next((identifier.name for identifier in wanted if identifier.cell.fullmatch(folded)), None)

"""How much is drawn and written in a vector chart, alone or within a report?

One mark per person is one row per person (`svg_files` says why), so marks and texts are limited as rows are. Told of
each element and text in turn; knows nothing of XML or HTML.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping

from runner.disclosure.identifier import fold, identifiers, named_anywhere
from runner.disclosure.rules import Limits, Refusal, identifier_refusal, rows_refusal

# Within a text these part no words: "patient<tspan>_id</tspan>" reads as one.
_INLINE = {"tspan", "textpath", "tref", "a"}
_SHAPES = ("path", "rect", "circle", "ellipse", "line", "polyline", "polygon", "image", "use")
_WORDS_FOR = {**dict.fromkeys(_SHAPES, "marks"), "tspan": "texts", "g": "groups", "text": "text elements"}
# How Matplotlib (#DejaVuSans-30), Cairo (#glyph0-1, #glyph-0-1) and PDF converters name a letter that is drawn.
_LETTER = re.compile(r"#(?:glyph[-_]?\d|[A-Za-z][A-Za-z0-9]{2,40}(?:-[A-Za-z]{2,20}){0,2}-[0-9a-f]{2,5}\Z)")
# A line of a table of people is seldom shorter; drawn letters and long texts are counted in such lines.
_LETTERS_PER_ROW = 16
_PLACES = {"d", "points", "transform", "values", "x", "y", "dx", "dy", "rotate", "stroke-dasharray"}
_COURSES = {"d", "points"}  # of a curve or shape: of any length
_NO_PLACE = re.compile(r"[^\s\d.,eEmlhvcsqtazMLHVCSQTAZ+-]")
# Characters; values of at most that length count with their element. Inkscape writes long styles.
SHORT_VALUE, _SHORT_STYLE = 200, 2000
_MAX_TEXT = 1024 * 1024


class Marks:
    """Raises `Refusal` as soon as there are more marks, or lines of text, than a CSV may have rows."""

    def __init__(self, limits: Limits):
        self.limits = limits
        self.wanted = identifiers(limits.identifier_columns)
        self.parts: list[str] = []  # of the text that is being read
        self.letters = 0  # in these parts
        self.is_new_part = False
        self.amounts: Counter[str] = Counter()  # in letters, of marks, texts, groups and other elements

    def element(self, element: str, attributes: Mapping[str, str]) -> None:
        self._count(_WORDS_FOR.get(element, "other elements"), _size(element, attributes.items()))

    def text(self, text: str, *, is_style: bool = False) -> None:
        self.parts.append(text)
        self.is_new_part = True
        self.letters += len(text)
        if self.letters > _MAX_TEXT and not is_style:
            raise self._too_many("texts")

    def text_before(self, element: str) -> str:
        """The text that a tag of this element ends, or "" if the tag stands within a line of text."""
        if element in _INLINE:
            if self.is_new_part:
                self.refuse_identifier(self.parts[-1])
            self.is_new_part = False
            return ""
        text = "".join(self.parts)
        self.parts, self.letters, self.is_new_part = [], 0, False
        return text

    def look_at_text(self, text: str) -> None:
        text = text.strip()
        if text:
            # What is far too much is not searched: that would take more memory than the file.
            lines = 1 + sum(text.count(mark) for mark in "\n\r;|")
            if len(text) > _MAX_TEXT:
                self._count("texts", len(text))
            self.refuse_identifier(text)
            self._count("texts", max(lines * _LETTERS_PER_ROW, len(text)))

    def refuse_identifier(self, text: str) -> None:
        if found := named_anywhere(self.wanted, fold(text)):
            raise identifier_refusal(found[0], "in a text, note or attribute of a chart")

    def _count(self, what: str, letters: int) -> None:
        self.amounts[what] += letters
        if self.amounts[what] > self.limits.max_csv_rows * _LETTERS_PER_ROW:
            raise self._too_many(what)

    def _too_many(self, what: str) -> Refusal:
        limit = self.limits.max_csv_rows
        refusal = rows_refusal(f"a chart of more than {limit:,} {what} (points, or lines of text)", limit)
        refusal.message += " A chart with so many marks can be saved as PNG, from which nobody reads their places."
        return refusal


def says_places(attribute: str, value: str) -> bool:
    """True for the course of a curve, of any length, and other places: they count with their element."""
    may_be = attribute in _COURSES or (attribute in _PLACES and len(value) <= _SHORT_STYLE)
    return may_be and not _NO_PLACE.search(value)


def is_long(attribute: str, value: str) -> bool:
    """True for a value that is to be read like a text."""
    return len(value) > (_SHORT_STYLE if attribute == "style" or attribute in _PLACES else SHORT_VALUE)


def _size(element: str, attributes: Iterable[tuple[str, str]]) -> int:
    """How much an element counts, in letters. A path counts for each place at which the pen is set down."""
    if element == "path":
        course = next((value for name, value in attributes if name == "d"), "")
        return _LETTERS_PER_ROW * max(1, course.count("M") + course.count("m"))
    if element == "use" and any(name.endswith("href") and _LETTER.match(value) for name, value in attributes):
        return 1
    return _LETTERS_PER_ROW

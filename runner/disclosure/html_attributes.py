"""What do the attributes of a page's tags hold: a table, a file, a record each?

A page keeps data in attributes that nobody sees: `<input type="hidden" value="…">`, `<i data-person="1001">`, the
`data:` URL behind a download button. Ids, classes and links name parts of the page; only short ones are taken for that.
"""

import html
import re
from collections.abc import Iterator

from runner.disclosure.code_text import CodeWatch
from runner.disclosure.encoded import embedded_in_url
from runner.disclosure.html_tokens import Token
from runner.disclosure.identifier import fold, identifiers, mentioned, named_anywhere, named_by_cell
from runner.disclosure.marks import SHORT_VALUE, Marks, is_long, says_places
from runner.disclosure.rules import Limits, Refusal, Rule, identifier_refusal, rows_refusal
from runner.disclosure.text_files import TextWatch, header_naming

# A name begins where none is going on: a long one without a value is looked at once.
_ATTRIBUTE = re.compile(r"(?<![^\s\"'/])([^\s=>\"'/]++)\s*+=\s*+(?:\"([^\"]*+)\"|'([^']*+)'|([^\s>\"']++))")
_MOST_ATTRIBUTES = 1000  # of one tag; a browser may take more, a report has 20
# They name parts of the page: a heading "patient_id" has an anchor of that name.
_NAMES_OF_PARTS = {"id", "class", "href", "name", "for", "headers", "src", "rel", "style"}
_LONGEST_STYLE = 2000
# They say how something looks or works, and are left out where it is asked whether a tag holds data.
_LOOKS = re.compile(
    r"(?<![^\s\"'/])(?:id|class|href|name|for|headers|src|srcset|rel|style|width|height|colspan|rowspan|span|tabindex|"
    r"border|cellpadding|cellspacing|size|align|valign|bgcolor|color|type|role|lang|dir|start|rows|cols|scope|xmlns[:\w]*|"
    r"target|loading|sizes|media|integrity|charset|viewbox|data-(?:line-number|line|level|depth|toggle|target|bs-[\w-]*)|"
    r"aria-(?!label\b|description\b)[\w-]*)\s*+=\s*+(?:\"[^\"]{0,200}+\"|'[^']{0,200}+'|[^\s>\"']{1,200}+(?=[\s>]|\Z))",
    re.IGNORECASE,
)
_HOLDS_DATA = re.compile(
    r"\d|(?:data-[\w-]+|value|title|alt|label|content|summary|placeholder|aria-label)\s*=\s*[\"']?[^\s\"'>]",
    re.IGNORECASE,
)
_NUMBERED_NAME = re.compile(r"\d{3}")  # <p1001>; h1 and the like are names of HTML
_URL_OF_TEXT = re.compile(r"\s*(?:data|javascript|mailto):", re.IGNORECASE)
_LONGEST_PLAIN_PICTURE = 20_000  # characters of an SVG in an attribute; an icon has some hundred
_CELLS = {"td", "th"}
# Interactive tables write the value to sort by beside each cell; ten of them are a row.
_TENTHS = 10
_MOST_MENTIONS = 3000


def attributes(source: str) -> Iterator[tuple[str, str]]:
    """The attributes of a tag as it is written: names in lower case, values as a browser reads them."""
    for number, found in enumerate(_ATTRIBUTE.finditer(source)):
        if number == _MOST_ATTRIBUTES:
            raise Refusal(
                Rule.UNREADABLE,
                f"The file has a tag of more than {_MOST_ATTRIBUTES:,} attributes, so it cannot be examined. "
                "Write the report with R Markdown, Quarto or Jupyter.",
            )
        name, quoted, single, bare = found.groups("")
        yield name.lower(), html.unescape(quoted or single or bare)


def attribute(source: str, name: str) -> str:
    """The value that a browser takes: the first."""
    return next((value for each, value in attributes(source) if each == name), "")


class AttributeWatch:
    """Fed tag by tag; raises `Refusal` as soon as a rule is broken."""

    def __init__(self, limits: Limits):
        self.limit = limits.max_csv_rows
        self.wanted = identifiers(limits.identifier_columns)
        self.values, self.data = TextWatch(limits), CodeWatch(limits)
        self.tenths = 0  # of rows
        self.mentions = 0  # values with the name of an identifier in them

    def look_at(self, token: Token) -> None:
        """A tag outside of charts."""
        if len(token.text) > SHORT_VALUE or mentioned(self.wanted, fold(token.text)):
            for name, value in attributes(token.text):
                self._look_at_value(name, value)
        if _NUMBERED_NAME.search(token.name) or _HOLDS_DATA.search(_LOOKS.sub("", token.text)):
            self.tenths += 1 if token.name in _CELLS else _TENTHS
            # One more than the limit may be a header.
            if self.tenths > (self.limit + 1) * _TENTHS:
                raise rows_refusal(f"more than {self.limit:,} tags with data in their attributes", self.limit)

    def look_at_chart(self, token: Token, marks: Marks) -> None:
        """A tag within a chart: its marks, and what its attributes say."""
        values = list(attributes(token.text)) if len(token.text) > SHORT_VALUE or token.name in ("path", "use") else []
        if token.kind == "tag":
            marks.element(token.name, dict(reversed(values)))
        has_name = mentioned(self.wanted, fold(token.text[:SHORT_VALUE]))
        for name, value in values or (attributes(token.text) if has_name else ()):
            if _URL_OF_TEXT.match(value):
                self._look_at_value(name, value)
            elif is_long(name, value) and not says_places(name, value):
                marks.look_at_text(value)
            elif name not in _NAMES_OF_PARTS:
                self._refuse_name(name, value)

    def _look_at_value(self, name: str, value: str) -> None:
        if _URL_OF_TEXT.match(value):
            value = self._file_in(value)
        is_part = name in _NAMES_OF_PARTS and len(value) <= (_LONGEST_STYLE if name == "style" else SHORT_VALUE)
        if is_part or says_places(name, value):
            return
        has_name = self._refuse_name(name, value)
        if has_name or len(value) > SHORT_VALUE:
            self.values.look_at(value)
            self.data.feed(value)
            self.data.end_of_script()

    def _refuse_name(self, name: str, value: str) -> bool:
        """Refuses an identifier that the value spells, or whose value it is; True if it is at least mentioned."""
        name_of_value = named_by_cell(self.wanted, name.removeprefix("data-"))
        if name_of_value and re.search(r"\d", value):
            raise identifier_refusal(name_of_value, "before a value in a tag")
        if not mentioned(self.wanted, fold(value)):
            return False
        self.mentions += 1
        found = named_by_cell(self.wanted, value) or header_naming(self.wanted, value)
        if self.mentions > _MOST_MENTIONS:
            found = self.wanted[0].name
        if found:
            raise identifier_refusal(found, "in an attribute")
        return True

    def _file_in(self, url: str) -> str:
        """The file in a whole `data:` URL, as a browser would give it out."""
        content, is_picture = embedded_in_url(url)
        if not is_picture:
            self.data.feed(content)
            self.data.end_of_script()
        elif len(content) > _LONGEST_PLAIN_PICTURE:
            raise Refusal(
                Rule.UNREADABLE,
                f"The file has an SVG of more than {_LONGEST_PLAIN_PICTURE:,} characters in a tag. "
                "Embed it as base64, as R Markdown and Quarto do, or as PNG.",
            )
        elif found := named_anywhere(self.wanted, fold(content)):
            raise identifier_refusal(found[0], "in an embedded picture")
        return content

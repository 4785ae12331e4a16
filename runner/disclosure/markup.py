"""May an SVG or an HTML report leave?

SVG is a picture, so it may not run or load anything. HTML is a report: those of R Markdown, Quarto and Jupyter are full
of scripts and data: URLs, so scripts are allowed, and whoever shows them does so in a sandbox (`docs/decisions.md`).
"""

import html
import re
import zlib
from collections.abc import Iterable, Iterator
from itertools import chain
from xml.parsers import expat

from runner.disclosure.identifier import AROUND_CELL, SEPARATOR, Identifier, fold, mentioned
from runner.disclosure.reading import CHUNK_BYTES, whole_lines, wrong_content
from runner.disclosure.rules import Limits, Refusal, Rule, identifier_refusal, rows_refusal
from runner.disclosure.text_files import HeaderWatch

_RUNNING_ELEMENTS = {"script", "foreignobject", "iframe", "object", "embed", "audio", "video", "handler", "listener"}
_PICTURE = r"data:image/(?:png|jpe?g|gif|webp)[;,]"
_FONT = r"data:(?:font/|application/(?:x-)?font)"
_LOCAL_REFERENCE = re.compile(rf"#|{_PICTURE}|\Z")
_LOADS = re.compile(rf"@import|url\([\s\"']*(?!#|{_PICTURE}|{_FONT})[^\s\"']|javascript:")
_BLANK_OR_CONTROL = re.compile(r"[\s\x00-\x20]+")

_BEGINS_AS_HTML = re.compile(r"\s*(?:<!--|<!doctype|<\?xml|<[a-z])", re.IGNORECASE)
_TABLE_ROW = re.compile(r"<tr[\s>]", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]{0,500}>")


def check_svg(pieces: Iterable[bytes], limits: Limits) -> None:
    """Raises `Refusal` for what is no well-formed XML with an `svg` root, or runs or loads something."""
    svg = _Svg()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = svg.start
    parser.EndElementHandler = svg.end
    parser.CharacterDataHandler = svg.text
    parser.EntityDeclHandler = svg.entity
    parser.ProcessingInstructionHandler = svg.instruction
    try:
        for piece in pieces:
            parser.Parse(piece, False)
        parser.Parse(b"", True)
    except (expat.ExpatError, LookupError, ValueError) as error:
        raise wrong_content("SVG", "not well-formed XML") from error


class _Svg:
    """What an XML parser calls. Names come as "namespace name"; only the name counts, whatever its prefix."""

    def __init__(self) -> None:
        self.root_seen = False
        self.style: list[str] | None = None

    def start(self, name: str, attributes: dict[str, str]) -> None:
        element = _local(name)
        if not self.root_seen and element != "svg":
            raise wrong_content("SVG", "XML of another kind")
        self.root_seen = True
        if element in _RUNNING_ELEMENTS:
            raise _active(f"a <{element}> element")
        self.style = [] if element == "style" else self.style
        for attribute, value in attributes.items():
            _check_attribute(_local(attribute), value)

    def text(self, text: str) -> None:
        if self.style is not None:
            self.style.append(text)

    def end(self, name: str) -> None:
        if self.style is not None and _local(name) == "style":
            _check_style("".join(self.style))
            self.style = None

    def entity(self, *_declaration: object) -> None:
        raise _active("a declaration of an XML entity")

    def instruction(self, *_instruction: object) -> None:
        raise _active("an XML processing instruction")


def _local(name: str) -> str:
    return name.rpartition(" ")[2].casefold()


def _check_attribute(name: str, value: str) -> None:
    if name.startswith("on"):
        raise _active("an event attribute (on...)")
    tight = _BLANK_OR_CONTROL.sub("", value).casefold()
    if name in ("href", "src", "base") and not _LOCAL_REFERENCE.match(tight):
        raise _active("a link or reference to something outside the file")
    if name == "attributename" and (tight.startswith("on") or tight.endswith("href")):
        raise _active("an animation of a link or event")
    if "(" in tight or ":" in tight:
        _check_style(tight)


def _check_style(style: str) -> None:
    if _LOADS.search(style.casefold()):
        raise _active("a style that loads something from outside the file")


def _active(found: str) -> Refusal:
    return Refusal(
        Rule.ACTIVE_CONTENT,
        f"The SVG has {found}. A picture may not run or load anything: "
        "save the chart as a static SVG (ggsave, savefig) or as PNG.",
    )


def inflated(pieces: Iterable[bytes], limits: Limits) -> Iterator[bytes]:
    """The content of a gzip stream in bounded pieces; refuses one that inflates beyond the size limit."""
    inflater = zlib.decompressobj(wbits=31)
    total = 0
    try:
        for piece in pieces:
            while piece and not inflater.eof:
                content = inflater.decompress(piece, CHUNK_BYTES)
                piece = inflater.unconsumed_tail
                total += len(content)
                if total > limits.max_file_size:
                    raise Refusal(
                        Rule.SIZE, f"The SVG inflates to more than {limits.max_file_size:,} bytes. Simplify it."
                    )
                yield content
            if inflater.eof and (piece or inflater.unused_data):
                raise wrong_content("compressed SVG", "gzip with something after its end")
    except zlib.error as error:
        raise wrong_content("compressed SVG", "not gzip, or damaged") from error
    if not inflater.eof:
        raise wrong_content("compressed SVG", "unfinished gzip")


def check_html(pieces: Iterator[str], limits: Limits) -> None:
    """Raises `Refusal` for what does not begin as HTML, or holds a table that a CSV check would refuse."""
    watch = HeaderWatch(limits)
    blocks = whole_lines(pieces)
    first = next(blocks, "")
    if not _BEGINS_AS_HTML.match(first):
        raise wrong_content("HTML")
    rows = 0
    for block in chain([first], blocks):
        rows += len(_TABLE_ROW.findall(block))
        _look_for_identifiers(html.unescape(block), watch)
        # One more than the limit may be the header.
        if rows > limits.max_csv_rows + 1:
            raise rows_refusal(f"more than {limits.max_csv_rows:,} table rows", limits.max_csv_rows)


def _look_for_identifiers(block: str, watch: HeaderWatch) -> None:
    folded = fold(block)
    if not watch.heads and not mentioned(watch.wanted, folded):
        return
    for identifier in watch.wanted:
        if _as_html_cell(identifier).search(folded):
            raise identifier_refusal(identifier.name, "in a cell of a table")
        if _as_key_of_figures(identifier).search(folded):
            raise identifier_refusal(identifier.name, "as the name of figures in a script")
    watch.look_at(block, (_TAG.sub("", line) for line in block.splitlines()))


def _as_html_cell(identifier: Identifier) -> re.Pattern:
    # Bounded repetitions: without them a hostile file could make the search quadratic.
    before = rf"(?:{AROUND_CELL}|<[^<>]{{0,200}}>){{0,12}}"
    return re.compile(rf"<t[hd]\b[^<>]{{0,500}}>{before}{identifier.spelling}{AROUND_CELL}*<")


def _as_key_of_figures(identifier: Identifier) -> re.Pattern:
    """The data of a chart or an interactive table: "patient_id": [1, 2 … or "patient_id": 1."""
    return re.compile(rf"[\"']{SEPARATOR}*{identifier.spelling}{SEPARATOR}*\\?[\"']\s*:\s*(?:\[|\\?[\"']?\d)")

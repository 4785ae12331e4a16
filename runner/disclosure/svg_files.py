"""May an SVG leave? It must be a picture that runs and loads nothing, and a chart rather than a table of people.

A chart in SVG is not only looked at: the place of each of its points can be read from it to six digits. So one mark per
person is one row per person, and marks are limited as rows are; a PNG of the same chart has no such places, which is
what the refusal proposes. A line of many points is one mark. What a viewer never shows (comments, metadata, titles,
attributes) is read like the text that it shows.
"""

import re
import zlib
from collections.abc import Iterable, Iterator
from xml.parsers import expat

from runner.disclosure.marks import SHORT_VALUE, Marks, is_long, says_places
from runner.disclosure.reading import CHUNK_BYTES, begins_as_picture_or_font, wrong_content
from runner.disclosure.rules import Limits, Refusal, Rule

_RUNNING_ELEMENTS = {"script", "foreignobject", "iframe", "object", "embed", "audio", "video", "handler", "listener"}
_PICTURE = r"data:image/(?:png|jpe?g|gif|webp)[;,]"
_FONT = r"data:(?:font/|application/(?:x-)?font)"
_LOCAL_REFERENCE = re.compile(rf"#|{_PICTURE}|\Z")
_LOADS = re.compile(rf"@import|url\([\s\"']*(?!#|{_PICTURE}|{_FONT})[^\s\"']|javascript:")
_BLANK_OR_CONTROL = re.compile(r"[\s\x00-\x20]+")
_EMBEDDED = re.compile(r"data:[^,]{0,200};base64,\s*([A-Za-z0-9+/=\s]*)")

_MAX_ATTRIBUTES = 10_000  # of one element; more would only be there to exhaust memory


def check_svg(pieces: Iterable[bytes], limits: Limits) -> None:
    """Raises `Refusal` for what is no well-formed XML with an `svg` root, runs or loads something, or holds a table."""
    reader = SvgReader(limits)
    for piece in pieces:
        reader.feed(piece)
    reader.close()


class SvgReader:
    """One SVG, fed piece by piece; raises `Refusal` as soon as a rule is broken."""

    def __init__(self, limits: Limits):
        svg = _Svg(limits)
        self._equal_signs = 0  # since the last tag
        self._held: list[bytes] = []
        self._held_bytes = self._parsed_bytes = 0
        self._parser = parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.buffer_size = CHUNK_BYTES
        parser.StartElementHandler = svg.start
        parser.EndElementHandler = svg.end
        parser.CharacterDataHandler = svg.text
        parser.CommentHandler = svg.comment
        parser.StartDoctypeDeclHandler = svg.doctype
        parser.EntityDeclHandler = svg.entity
        parser.ProcessingInstructionHandler = svg.instruction

    def feed(self, piece: bytes) -> None:
        self._count_attributes(piece)
        self._held.append(piece)
        self._held_bytes += len(piece)
        # The parser begins again with an unfinished tag or text at each piece: a piece without an end must be long.
        if b">" in piece or self._held_bytes > self._parsed_bytes:
            self._parse(last=False)

    def close(self) -> None:
        self._parse(last=True)

    def _count_attributes(self, piece: bytes) -> None:
        # The parser hands over an element's attributes only when it has all of them in memory.
        end = piece.rfind(b">")
        self._equal_signs = piece.count(b"=", max(end, 0)) + (self._equal_signs if end < 0 else 0)
        if self._equal_signs > _MAX_ATTRIBUTES:
            raise wrong_content("SVG", f"XML with an element of over {_MAX_ATTRIBUTES:,} attributes")

    def _parse(self, *, last: bool) -> None:
        text = b"".join(self._held)
        self._held, self._held_bytes = [], 0
        self._parsed_bytes += len(text)
        try:
            self._parser.Parse(text, last)
        except (expat.ExpatError, LookupError, ValueError) as error:
            raise wrong_content("SVG", "not well-formed XML") from error


class _Svg:
    """What an XML parser calls. Names come as "namespace name"; only the name counts, whatever its prefix."""

    def __init__(self, limits: Limits):
        self.marks = Marks(limits)
        self.root_seen = False
        self.in_style = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        element = _local(name)
        if not self.root_seen and element != "svg":
            raise wrong_content("SVG", "XML of another kind")
        self.root_seen = True
        if element in _RUNNING_ELEMENTS:
            raise _active(f"a <{element}> element")
        self._end_of_text(element)
        self.in_style = self.in_style or element == "style"
        self.marks.element(element, attributes)
        for attribute, value in attributes.items():
            self._look_at_attribute(_local(attribute), value)

    def text(self, text: str) -> None:
        self.marks.text(text, is_style=self.in_style)

    def end(self, name: str) -> None:
        element = _local(name)
        self._end_of_text(element)
        self.in_style = self.in_style and element != "style"

    def comment(self, text: str) -> None:
        self.marks.look_at_text(text)

    def doctype(self, _name: str, _system: str | None, public: str | None, has_declarations: int) -> None:
        if has_declarations:
            raise _active("declarations in its document type")
        self.marks.look_at_text(public or "")

    def entity(self, *_declaration: object) -> None:
        raise _active("a declaration of an XML entity")

    def instruction(self, *_instruction: object) -> None:
        raise _active("an XML processing instruction")

    def _end_of_text(self, element: str) -> None:
        """Looks at the text that a tag ends: alone and, unless the tag stands within a line of text, all of it."""
        text = self.marks.text_before(element)
        if self.in_style and text:
            _check_style(text)
            text = _EMBEDDED.sub("", text)
        self.marks.look_at_text(text)

    def _look_at_attribute(self, name: str, value: str) -> None:
        if _EMBEDDED.match(value.lstrip()[:SHORT_VALUE]):
            _check_embedded(name, value)
            return
        if says_places(name, value):
            return
        if is_long(name, value):
            self.marks.look_at_text(value)
        else:
            self.marks.refuse_identifier(value)
        _check_attribute(name, value)


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


def _check_embedded(name: str, value: str) -> None:
    """A picture in the picture: nothing but base64 that begins as one."""
    content = _EMBEDDED.fullmatch(value.strip())
    _check_attribute(name, value.lstrip()[:SHORT_VALUE])
    if content is None or not begins_as_picture_or_font(content[1].lstrip()[:64]):
        raise _active("embedded data that is no picture")


def _check_style(style: str) -> None:
    style = style.casefold()
    if _LOADS.search(style):
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
        for piece in _without_gzip_notes(pieces):
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


def _without_gzip_notes(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same pieces. A gzip's header (RFC 1952) may hold a short file name, and no extra field or comment."""
    for number, piece in enumerate(pieces):
        has_notes = len(piece) > 3 and piece[3] & 0b10100
        has_long_name = len(piece) > 3 and piece[3] & 0b01000 and 0 not in piece[10:266]
        if number == 0 and (has_notes or has_long_name):
            raise wrong_content("compressed SVG", "gzip with notes in its header")
        yield piece

"""Cuts HTML into text, tags, comments and the content of scripts, piece by piece.

Why not `html.parser`: it holds an unfinished script or comment whole, and reads some hostile files in quadratic time.
This one looks at each character a bounded number of times. It judges nothing; bad HTML it takes as well as it can.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from runner.disclosure.reading import LINE_CHARACTERS
from runner.disclosure.rules import Refusal, Rule

_OPENING = re.compile(r"<(?:!--|!\[CDATA\[|/?[a-zA-Z]|[!?])")
_LONGEST_OPENING = len("<![CDATA[")
# Quoted values may hold ">". Possessive: what does not match is given up at once.
_TAG = re.compile(r"<(/?)([a-zA-Z][^\s/>]{0,60}+)((?:[^>\"']++|\"[^\"]*+\"|'[^']*+')*+)>")
_BROKEN_TAG = re.compile(r"<(/?)([a-zA-Z][^\s/>]{0,60}+)([^>]*+)>")
_MOST_BROKEN_TAGS = 1000  # each may cost a look at the longest tag that is allowed
# What a browser takes for a comment or, within a chart, for text is read as a comment too, declarations included.
_COMMENTS = {"<!--": "comment", "<![CDATA[": "character data", "<!": "declaration", "<?": "declaration"}
_RAW_ENDS = {
    "comment": re.compile("-->"),
    "character data": re.compile("]]>"),
    "declaration": re.compile(">"),
    "script": re.compile("</script", re.IGNORECASE),
    "style": re.compile("</style", re.IGNORECASE),
}
_LONGEST_RAW_END = len("</script")


@dataclass(frozen=True, slots=True)
class Token:
    """`kind` is "text", "tag", "end tag", "comment", or the name of a raw element whose content `text` is."""

    kind: str
    text: str  # of a tag: its attributes as written
    name: str = ""  # of a tag, in lower case
    is_last: bool = True  # False: more of the same comment or raw element follows


# What was read, and where it ends; None: nothing was, and where it ends can only be said with more text.
_Step = tuple[Token | None, int | None]


class Tokenizer:
    """Fed text in pieces of any length; holds at most one tag and a few characters."""

    def __init__(self) -> None:
        self.held = ""
        self.inside = ""  # a kind of comment or the name of a raw element
        self.broken_tags = 0

    def feed(self, piece: str) -> Iterator[Token]:
        return self._tokens(self.held + piece, more=True)

    def close(self) -> Iterator[Token]:
        """The tokens of what is held; the tokenizer may then be fed another text."""
        yield from self._tokens(self.held, more=False)
        self.inside = ""

    def _tokens(self, text: str, *, more: bool) -> Iterator[Token]:
        position, self.held = 0, ""
        while position < len(text):
            read = self._rest_of_inside if self.inside else self._next
            token, end = read(text, position, more=more)
            if token:
                yield token
            if end is None:
                self.held = text[position:]
                return
            position = end

    def _next(self, text: str, position: int, *, more: bool) -> _Step:
        opening = _OPENING.search(text, position)
        if opening is None or opening.start() > position:
            return self._text(text, position, opening, more=more)
        if more and len(text) - position < _LONGEST_OPENING:
            return None, None
        if opening[0] in _COMMENTS:
            self.inside = _COMMENTS[opening[0]]
            return None, opening.end()
        return self._tag(text, position, more=more)

    def _text(self, text: str, position: int, opening: re.Match | None, *, more: bool) -> _Step:
        end = opening.start() if opening else len(text)
        if opening is None and more:
            # "<" at the end may open a tag whose name is still to come.
            cut = text.rfind("<", max(position, len(text) - _LONGEST_OPENING))
            end = end if cut < 0 else cut
        return (Token("text", text[position:end]), end) if end > position else (None, None)

    def _tag(self, text: str, position: int, *, more: bool) -> _Step:
        tag = _TAG.match(text, position)
        if tag is None and more and len(text) - position <= LINE_CHARACTERS:
            return None, None
        tag = tag or self._broken_tag(text, position)
        if tag is None:
            return Token("text", text[position:]), len(text)
        name = tag[2].lower()
        if name in ("script", "style") and not tag[1]:
            self.inside = name
        return Token("end tag" if tag[1] else "tag", tag[3] or "", name), tag.end()

    def _broken_tag(self, text: str, position: int) -> re.Match | None:
        """A tag with a quote that is never closed ends at the next ">"; without one it is text."""
        self.broken_tags += 1
        if self.broken_tags > _MOST_BROKEN_TAGS:
            raise Refusal(
                Rule.UNREADABLE,
                "The file has tags whose quotes are never closed, so it cannot be examined. "
                "Write the report with R Markdown, Quarto or Jupyter.",
            )
        return _BROKEN_TAG.match(text, position)

    def _rest_of_inside(self, text: str, position: int, *, more: bool) -> _Step:
        inside, is_comment = self.inside, self.inside in _COMMENTS.values()
        kind = "comment" if is_comment else inside
        if found := _RAW_ENDS[inside].search(text, position):
            self.inside = ""
            # The end tag of a script is a token of its own.
            end = found.end() if is_comment else found.start()
            return Token(kind, text[position : found.start()]), end
        end = max(position, len(text) - _LONGEST_RAW_END) if more else len(text)
        return (Token(kind, text[position:end], is_last=not more), end) if end > position else (None, None)

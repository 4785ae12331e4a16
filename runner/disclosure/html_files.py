"""May an HTML report, or a Markdown text with HTML in it, leave?

Reports of R Markdown, Quarto and Jupyter are full of scripts and embedded files, so scripts are allowed, and whoever
shows them does so in a sandbox (`docs/decisions.md`). What the page says, hidden parts and comments included, is read
like a text with tables; the data in its scripts is read like JSON.
"""

import re
from collections.abc import Iterator
from itertools import chain

from runner.disclosure.code_text import CodeWatch
from runner.disclosure.encoded import Embedded
from runner.disclosure.html_attributes import attribute
from runner.disclosure.html_page import Page
from runner.disclosure.html_tokens import Token, Tokenizer
from runner.disclosure.json_files import JsonReader
from runner.disclosure.reading import whole_lines, wrong_content
from runner.disclosure.rules import Limits, Refusal, Rule
from runner.disclosure.text_files import TextWatch

_BEGINS_AS_HTML = re.compile(r"\s*(?:<!--|<!doctype|<\?xml|<[a-z])", re.IGNORECASE)
_JSON_TYPE = re.compile(r"[\w.+/-]*json\b", re.IGNORECASE)
_CODE_TYPE = re.compile(r"[\w.+/-]*(?:script|babel|jsx|mathjax-config)\b|module|\s*\Z", re.IGNORECASE)


def check_html(pieces: Iterator[str], limits: Limits) -> None:
    """Raises `Refusal` for what does not begin as HTML, or holds what a CSV, JSON or text check would refuse."""
    reader = HtmlReader(limits)
    first = next((piece for piece in pieces if piece.strip()), "")
    if not _BEGINS_AS_HTML.match(first):
        raise wrong_content("HTML")
    for piece in Embedded(limits, reader.embedded_code.feed).left_out_of(chain([first], pieces)):
        reader.feed(piece)
    reader.close()


def check_markdown(pieces: Iterator[str], limits: Limits) -> None:
    """Raises `Refusal` where the text, as it stands or read as HTML, is one that may not leave."""
    text, reader = TextWatch(limits), HtmlReader(limits)
    for block in whole_lines(Embedded(limits, reader.embedded_code.feed).left_out_of(pieces)):
        text.look_at(block)
        reader.feed(block)
    reader.close()


class HtmlReader:
    """One HTML text, fed piece by piece; raises `Refusal` as soon as a rule is broken."""

    def __init__(self, limits: Limits, *, in_comment: bool = False):
        self.limits = limits
        self.tokenizer = Tokenizer()
        self.page = Page(limits)
        self.code, self.embedded_code = CodeWatch(limits), CodeWatch(limits)
        self.script_type = ""
        self.json: JsonReader | None = None
        self.comments = None if in_comment else HtmlReader(limits, in_comment=True)

    def feed(self, piece: str) -> None:
        for token in self.tokenizer.feed(piece):
            self._take(token)

    def close(self) -> None:
        """Reads what was held; a comment's reader goes on with the next comment."""
        for token in self.tokenizer.close():
            self._take(token)
        self.page.close()

    def _take(self, token: Token) -> None:
        if token.kind == "text":
            self.page.text(token.text)
        elif token.kind == "comment":
            self._take_comment(token)
        elif token.kind == "style":
            self._take_code(token)
        elif token.kind == "script":
            self._take_script(token)
        else:
            self.page.tag(token)
            if token.name == "script" and token.kind == "tag":
                self.script_type = attribute(token.text, "type")

    def _take_comment(self, token: Token) -> None:
        """A comment is read as HTML, for it may be a table that was commented out; none stands in another."""
        if self.comments is None:
            self.page.text(token.text)
            return
        self.comments.feed(token.text)
        if token.is_last:
            self.comments.close()
            self.page.count_tag()

    def _take_script(self, token: Token) -> None:
        if _JSON_TYPE.match(self.script_type):
            self._take_json(token)
        elif _CODE_TYPE.match(self.script_type):
            self._take_code(token)
        else:
            # A template or data: what a library makes a page of.
            self._take_comment(token)

    def _take_code(self, token: Token) -> None:
        self.code.feed(token.text)
        if token.is_last:
            self.code.end_of_script()

    def _take_json(self, token: Token) -> None:
        if self.json is None and token.text.strip():
            self.json = JsonReader(self.limits)
        if self.json is None:
            return
        try:
            self.json.feed(token.text)
            if token.is_last:
                self.json.close()
                self.json = None
        except Refusal as refusal:
            if refusal.rule != Rule.CONTENT_TYPE:
                raise
            raise wrong_content("HTML", "HTML with data in a script that is no well-formed JSON") from refusal

"""Is there a table in the strings of a script?

Strings are not parsed: quotes in regular expressions and comments would mislead. But code is full of brackets and
signs, and a table written into a string has none for long: such a run of characters is read like the lines of a text.
"""

import re

from runner.disclosure.reading import LINE_CHARACTERS
from runner.disclosure.records import RecordWatch
from runner.disclosure.rules import Limits

_SIGN = r"(){}\[\]=&<>!?*^@`"
# Begins only behind a sign or at the piece's beginning, so that each character is looked at once.
_RUN = re.compile(rf"(?:\A|(?<=[{_SIGN}]))[^{_SIGN}]++")
_SHORTEST_RUN = 200  # characters
_LINE_END = re.compile(r"\\r\\n|\\[nr]")
_PARTS_RECORDS = re.compile(r"[#~]")


class DataRuns:
    """One script after the other, fed in pieces; raises `Refusal` for a table in a string."""

    def __init__(self, limits: Limits):
        self.records = RecordWatch(limits)
        self.held: list[str] = []  # a run that goes on
        self.held_length = 0

    def feed(self, piece: str) -> None:
        for run in _RUN.finditer(piece):
            if run.end() - run.start() < _SHORTEST_RUN and run.start() > 0 and run.end() < len(piece):
                continue
            if run.start() > 0:
                self.end()
            self.held.append(run[0])
            self.held_length += len(run[0])
            if run.end() < len(piece) or self.held_length > LINE_CHARACTERS:
                self.end()

    def end(self) -> None:
        """What follows is no part of the run."""
        run = "".join(self.held)
        self.held, self.held_length = [], 0
        if len(run) >= _SHORTEST_RUN:
            run = _LINE_END.sub("\n", run).replace("\\t", "\t")
            self.records.look_at(_PARTS_RECORDS.sub(";", run).splitlines())

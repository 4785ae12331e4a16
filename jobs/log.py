"""Log lines that nobody can forge: one record is one line, whatever a study put into it.

Action names, file names and error texts come from studies. A newline in one of them could fake a record, an escape
sequence could rewrite the operator's terminal; both are shown as their escapes.
"""

import logging
import re

# C0 and C1 controls but tab, line and paragraph separators, and the marks that reverse the direction of text.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def escape(text: str) -> str:
    r"""The text on one line: control characters, bidirectional marks and undecodable bytes as \xNN or \uNNNN."""
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


class LineFormatter(logging.Formatter):
    """Escapes the message; a traceback keeps its own lines, each indented so that it cannot pass for a record."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = escape(record.message)
        return super().formatMessage(record)

    def formatException(self, exc_info) -> str:
        lines = super().formatException(exc_info).split("\n")
        return "\n".join("    " + escape(line) for line in lines)

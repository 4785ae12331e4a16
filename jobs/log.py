"""Log lines that nobody can forge: one record is one line, whatever a study put into it.

Action names, file names and error texts come from studies. A newline in one of them could fake a record, an escape
sequence could rewrite the operator's terminal; both are shown as their escapes.
"""

import logging
import re

from jobs.text import CONTROLS, DIRECTION_MARKS, INVISIBLE

_UNPRINTABLE = re.compile(f"(?!\t)[{CONTROLS}{DIRECTION_MARKS}{INVISIBLE}]")


def escape(text: str) -> str:
    r"""The text on one line: controls, marks of direction, invisible ones and undecodable bytes as \xNN or \uNNNN."""
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


class LineFormatter(logging.Formatter):
    """Escapes the message; a traceback keeps its own lines, each indented so that it cannot pass for a record."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = escape(record.message)
        return super().formatMessage(record)

    def formatException(self, exc_info) -> str:
        lines = super().formatException(exc_info).split("\n")
        return "\n".join("    " + escape(line) for line in lines)

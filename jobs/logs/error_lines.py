"""Which lines of a log tell of an error: what Python, R, Stata, Julia, shells and loggers write when something fails.

One pattern, so that a line on a page and a search through a whole file always agree. It is of RE2's kind (no look
around), which takes linear time whatever a study writes.
"""

import re2

_LONGEST = 1000  # characters of a line that are looked at

_BEGINNINGS = (
    r"Traceback \(most recent call last\)",
    r"(?i:(?:[\w./-]+: )?(?:fatal|critical|error|panic|segmentation fault)\b ?(?::|\])(?:\s|$))",
    r"Error in ",  # R
    r"Execution halted",  # R
    r"r\(\d+\);",  # Stata
    r"Killed\s*$",
    r"ERROR: ",
)
_ANYWHERE = (
    r"\b[A-Z]\w*(?:Error|Exception)\b(?:: |$)",
    r"\b(?:ERROR|FATAL|CRITICAL)\b(?:[\s:|\]]|$)",
    r"(?i:\[(?:error|fatal|critical)\])",
    r"\bcommand not found\b",
    r"\bSegmentation fault\b",
    r"\b(?:Out of memory|OutOfMemory)",
    r"\bcannot allocate (?:vector|memory)",
)
PATTERN = "(?m)(?:^" + "[ \\t]*(?:" + "|".join(_BEGINNINGS) + ")|" + "|".join(_ANYWHERE) + ")"
_COMPILED = re2.compile(PATTERN.encode())


def is_error(text: str) -> bool:
    """Whether the line, without timestamp and colours, looks like an error."""
    return _COMPILED.search(text[:_LONGEST].encode("utf-8", "replace")) is not None

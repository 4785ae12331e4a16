"""What an operator can tell a study's author about an output: which pattern promised it, and how a refusal is mended.

Pure tables and functions; the runner decides, this only explains. A test holds the table against the runner's rules.
"""

import re
from collections.abc import Mapping

HIGHLY = "highly_sensitive"
# Rule of the disclosure check -> how the study can be mended.
FIXES = {
    "passed": "",
    "size": "Summarise the data or split the file so that each part is below the limit, or mark it highly_sensitive.",
    "type": "Write a file of an allowed type (CSV, text, picture, HTML, JSON), or mark it highly_sensitive.",
    "content_type": "Give the file the extension of what it holds, and write it with the program meant for that.",
    "encoding": "Write the file as UTF-8 text.",
    "rows": "Summarise to fewer rows (counts by group instead of records), or mark it highly_sensitive.",
    "columns": "Write fewer columns, or mark it highly_sensitive.",
    "identifier_column": "Drop the column that identifies persons, or mark it highly_sensitive.",
    "active_content": "Save the picture or page without scripts, links to other places and embedded objects.",
    "unreadable": "Write the file anew in one of the allowed formats; it could not be read to its end.",
}


def fix_of(rule: str) -> str:
    return FIXES.get(rule, "Mark the output highly_sensitive, or ask the operators of this backend what is wrong.")


def pattern_of(path: str, level: str, output_spec: Mapping) -> str:
    """The pattern that promised the output, of its own level first; empty if none is known."""
    levels = sorted(output_spec, key=lambda each: each != level)
    patterns = [
        pattern
        for each in levels
        if isinstance(output_spec[each], Mapping)
        for pattern in output_spec[each].values()
        if isinstance(pattern, str)
    ]
    return next((pattern for pattern in patterns if matches(pattern, path)), "")


def matches(pattern: str, path: str) -> bool:
    """As the runner has it: `*` stands for any characters within one part of the path."""
    regex = "[^/]*".join(map(re.escape, re.split(r"\*+", pattern)))
    return re.fullmatch(regex, path, re.DOTALL) is not None

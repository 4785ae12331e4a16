"""The words of the disclosure checks: what is limited, what a verdict holds, how a check refuses.

Apart from `runner.disclosure` so that each format's check can raise a `Refusal` without knowing who asked. A message
goes into a note beside the outputs, so it never quotes a file's content or name: only counts, line numbers and limits.
"""

from dataclasses import dataclass
from enum import StrEnum


class Rule(StrEnum):
    """Which rule decided; recorded in the manifest (SATRE 3.3.09 asks for a machine-readable criterion per file)."""

    PASSED = "passed"
    SIZE = "size"
    TYPE = "type"
    CONTENT_TYPE = "content_type"  # the content is not what the file's name says
    ENCODING = "encoding"
    ROWS = "rows"
    COLUMNS = "columns"
    IDENTIFIER_COLUMN = "identifier_column"
    ACTIVE_CONTENT = "active_content"  # an SVG that runs or loads something
    UNREADABLE = "unreadable"


@dataclass(frozen=True)
class Limits:
    """What a moderately sensitive output may be at most; a site's numbers come from its settings."""

    max_file_size: int = 16 * 1024 * 1024  # bytes; what an svgz inflates to counts too
    max_csv_rows: int = 5000  # without the header; of any table, and of its columns too
    identifier_columns: tuple[str, ...] = ("patient_id",)
    file_types: tuple[str, ...] = (
        ".csv", ".jpg", ".jpeg", ".png", ".svg", ".svgz", ".html", ".txt", ".log", ".json", ".md",
    )  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """Whether one file may leave. `message` is for the study's author and empty when the file is allowed."""

    allowed: bool
    rule: Rule
    message: str
    row_count: int | None = None  # of a CSV only, without its header
    col_count: int | None = None  # of a CSV only: cells of its widest row


class Refusal(Exception):
    """One rule said no. Never leaves `runner.disclosure.check`, which makes a `Verdict` of it."""

    def __init__(self, rule: Rule, message: str, rows: int | None = None, columns: int | None = None):
        super().__init__(message)
        self.rule, self.message, self.rows, self.columns = rule, message, rows, columns


def identifier_refusal(name: str, where: str, rows: int | None = None, columns: int | None = None) -> Refusal:
    return Refusal(
        Rule.IDENTIFIER_COLUMN,
        f'The file has "{name}" {where}, so it may hold one record per person. '
        "Drop that column (or rename the cell if no person can be told from it) and run the action again, "
        "or mark the output highly_sensitive.",
        rows,
        columns,
    )


def rows_refusal(found: str, limit: int, rows: int | None = None, columns: int | None = None) -> Refusal:
    return Refusal(
        Rule.ROWS,
        f"The file has {found}; at most {limit:,} are allowed. Summarise the data to fewer rows, "
        "or mark the output highly_sensitive.",
        rows,
        columns,
    )

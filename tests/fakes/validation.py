"""Would the job-server accept a posted job, field by field? Section 1.3 of the contract. Knows no store, no HTTP."""

import re
from datetime import UTC, datetime
from typing import Any

from tests.fakes.eras import Era

WRONG_TIME = (
    "Datetime has wrong format. Use one of these formats instead: YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z]."
)
TEXTS_AND_MAY_BE_BLANK = {
    "identifier": False,
    "job_request_id": False,
    "action": True,
    "status": False,
    "status_code": True,
    "status_message": True,
}
TIMES_AND_MAY_BE_NULL = {"created_at": False, "updated_at": True, "started_at": True, "completed_at": True}
ANY_JSON = ("trace_context", "metrics")
TIME = re.compile(r"\d{4}-\d{1,2}-\d{1,2}[T ]\d{1,2}:\d{1,2}(:\d{1,2}([.,]\d{1,6})?)?\s*(Z|[+-]\d{2}(:?\d{2})?)?")


class Refused(ValueError):
    """The message is what the job-server says of one field."""


def checked_payload(payload: Any, era: Era) -> tuple[list[dict], Any]:
    """The jobs as they will be stored and None, or an empty list and the body of the answer 400."""
    if not isinstance(payload, list):
        kind = type(payload).__name__
        return [], {"non_field_errors": [f'Expected a list of items but got type "{kind}".']}
    checked = [checked_job(item, era) for item in payload]
    errors = [found for _, found in checked]
    if any(errors):
        return [], {str(i): e for i, e in enumerate(errors) if e} if era.errors_by_index else errors
    return [job for job, _ in checked], None


def checked_job(item: Any, era: Era) -> tuple[dict, dict[str, list[str]]]:
    """The job with its fields cleaned, without unknown ones, and the messages about each bad field."""
    if not isinstance(item, dict):
        kind = type(item).__name__
        return {}, {"non_field_errors": [f"Invalid data. Expected a dictionary, but got {kind}."]}
    job, errors = {}, {}
    for name, check in field_checks(era).items():
        if name not in item:
            if name not in ANY_JSON:
                errors[name] = ["This field is required."]
            continue
        try:
            job[name] = check(item[name])
        except Refused as refused:
            errors[name] = [str(refused)]
    return job, errors


def field_checks(era: Era) -> dict:
    """Name of a field -> function that returns the value to store or raises Refused."""
    checks = {name: text_check(blank) for name, blank in TEXTS_AND_MAY_BE_BLANK.items()}
    checks |= {name: time_check(null, era) for name, null in TIMES_AND_MAY_BE_NULL.items()}
    if era.knows_run_command:
        checks["run_command"] = lambda value: "" if value is None else text_check(may_be_blank=True)(value)
        checks |= {name: lambda value: value for name in ANY_JSON}
    return checks


def text_check(may_be_blank: bool):
    def check(value: Any) -> str:
        if value is None:
            raise Refused("This field may not be null.")
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise Refused("Not a valid string.")
        text = str(value).strip()
        if not text and not may_be_blank:
            raise Refused("This field may not be blank.")
        if "\0" in text:
            raise Refused("Null characters are not allowed.")
        surrogates = [char for char in text if "\ud800" <= char <= "\udfff"]
        if surrogates:
            raise Refused(f"Surrogate characters are not allowed: U+{ord(surrogates[0]):X}.")
        return text

    return check


def time_check(may_be_null: bool, era: Era):
    def check(value: Any) -> datetime | None:
        if value is None and may_be_null:
            return None
        if value is None:
            raise Refused("This field may not be null.")
        if not isinstance(value, str) or not (era.dates_are_times or TIME.fullmatch(value)):
            raise Refused(WRONG_TIME)
        try:
            time = datetime.fromisoformat(value)
            return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
        except (ValueError, OverflowError) as error:
            raise Refused(WRONG_TIME) from error

    return check

"""The OpenAPI document, and values held against its schemas: the one place that says what a body has to look like."""

import functools
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator, ValidationError

_FILE = Path(__file__).with_name("openapi.yaml")
# Long enough for the list of permissions, which a job-server shows to somebody who has to find the wrong one.
_MOST_FAULT = 1_000
_MOST_SHOWN = 80
# An address may hold somebody's password.
_NEVER_SHOWN = ("repo_url",)


@functools.cache
def document() -> dict:
    """The document as it is published. Read once: it belongs to the code."""
    return yaml.safe_load(_FILE.read_text(encoding="utf-8"))


def fault(schema: str, value: object) -> str:
    """What is wrong with a value of one of the document's schemas, or an empty string.

    " at $.rap_id: 'X' does not match '^[a-z0-9]{16}$'": where, as a JSON path unless it is the whole, and what. Only
    the first fault is looked for: a hostile body may have a hundred thousand.
    """
    error = next(_validator(schema).iter_errors(value), None)
    if error is None:
        return ""
    place = f" at {error.json_path}" if error.path else ""
    return f"{place}: {_sentence(error)}"[:_MOST_FAULT]


@functools.cache
def _validator(schema: str) -> Draft202012Validator:
    # References point into the document, so it comes along; a validator skips the keywords that are not its own.
    return Draft202012Validator({**document(), "$ref": f"#/components/schemas/{schema}"})


def _sentence(error: ValidationError) -> str:
    if error.path and error.path[-1] in _NEVER_SHOWN:
        return f"this value (which is not shown here) breaks the rule {error.validator}: {error.validator_value}"
    value = repr(error.instance)
    return error.message.replace(value, value[:_MOST_SHOWN] + "…", 1) if len(value) > _MOST_SHOWN else error.message

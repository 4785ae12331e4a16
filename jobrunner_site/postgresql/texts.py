"""Texts on their way to PostgreSQL, which stores each character but NUL: that becomes the sign for what is unknown."""

import re
from collections.abc import Callable

from django.db.backends.postgresql.operations import DatabaseOperations
from django.db.backends.postgresql.psycopg_any import Jsonb
from psycopg.types.string import StrDumperUnknown

NUL, SHOWN = "\x00", "\N{REPLACEMENT CHARACTER}"
# An escape, unless its backslash is one that is meant.
_NUL_IN_JSON = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


def without_nul(text: str) -> str:
    return text.replace(NUL, SHOWN)


def json_without_nul(text: str) -> str:
    return _NUL_IN_JSON.sub(r"\1\\ufffd", text) if "u0000" in text else text


class StrDumper(StrDumperUnknown):
    def dump(self, obj: str):
        return super().dump(without_nul(obj) if NUL in obj else obj)


class Operations(DatabaseOperations):
    def adapt_json_value(self, value: object, encoder) -> Jsonb:
        adapted = super().adapt_json_value(value, encoder)
        return Jsonb(adapted.obj, dumps=_cleaning(adapted.dumps))


def _cleaning(dumps: Callable[[object], str]) -> Callable[[object], str]:
    return lambda value: json_without_nul(dumps(value))

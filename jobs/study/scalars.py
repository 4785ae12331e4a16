"""A word of YAML -> its value, as YAML 1.2 has it and as the older validators saw it.

`yes`, `on` and `010` are not what YAML 1.1 made of them. A date is kept as it was written, in a type of its own:
nothing in project.yaml may be a date, and dates like 2001-99-99 cannot even be one.
"""

import re
from dataclasses import dataclass

# int() refuses longer ones (a guard against quadratic time), and no project.yaml means a number of this length.
_MOST_DIGITS = 300
_STARTS_A_VALUE = frozenset("+-.0123456789tTfFnN~")
_CONSTANTS = {
    "": None,
    "~": None,
    **dict.fromkeys(("null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(
    r"[-+]?(?:0b(?P<binary>[01_]*[01])|0o(?P<octal>[0-7_]*[0-7])|0x(?P<hex>[0-9a-fA-F_]*[0-9a-fA-F])|[0-9][0-9_]*)"
)
_FLOAT = re.compile(r"[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"(?P<sign>[-+]?)\.(?:(?P<infinite>inf|Inf|INF)|nan|NaN|NAN)")
_TIMESTAMP = re.compile(
    r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:(?:[Tt]|[ \t]+)[0-9]{1,2}:[0-9]{2}:[0-9]{2}[0-9.:Zz+\- \t]*)?"
)
_TAG = "tag:yaml.org,2002:"


@dataclass(frozen=True)
class Timestamp:
    """A date or time as it was written."""

    text: str

    def __str__(self) -> str:
        return self.text


def plain_value(text: str) -> object:
    """The value of an unquoted word: None, bool, int, float, Timestamp or str. Raises ValueError, with a sentence."""
    if text and text[0] not in _STARTS_A_VALUE:
        return text
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INTEGER.fullmatch(text):
        return _integer(text)
    if _FLOAT.fullmatch(text):
        return _float(text)
    if found := _NOT_FINITE.fullmatch(text):
        return float(found["sign"] + ("inf" if found["infinite"] else "nan"))
    return Timestamp(text) if _TIMESTAMP.fullmatch(text) else text


def tagged_value(tag: str, text: str) -> object:
    """The value of a word with a tag like `!!str`. Raises ValueError, with a sentence."""
    kind = tag.removeprefix(_TAG)
    if tag == "!" or kind == "str":
        return text
    value = plain_value(text)
    types = {"int": int, "float": (int, float), "bool": bool, "null": type(None), "timestamp": Timestamp}
    if not tag.startswith(_TAG) or kind not in types:
        raise ValueError(f"the tag {tag} is not supported: remove it")
    if not isinstance(value, types[kind]):
        raise ValueError(f"{text!r} is not a value of kind {kind}, as its tag says")
    return float(value) if kind == "float" else value


def _integer(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise ValueError(f"a number of {len(text)} digits is too long: put it in quotes if it is text")
    digits = text.replace("_", "")
    prefix = digits.lstrip("+-")[:2]
    return int(digits, {"0b": 2, "0o": 8, "0x": 16}.get(prefix, 10))


def _float(text: str) -> float:
    if len(text) > _MOST_DIGITS:
        raise ValueError(f"a number of {len(text)} digits is too long: put it in quotes if it is text")
    return float(text.replace("_", ""))

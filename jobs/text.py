"""Small pieces of sentences that several messages share."""

import re
from collections.abc import Iterable
from datetime import timedelta

# For character classes of regular expressions. Line and paragraph separators and lone surrogates control, too.
CONTROLS = "\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff"
# Marks that reverse the direction of text.
DIRECTION_MARKS = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
# Marks that nobody sees: two names could look the same.
INVISIBLE = "\u00ad\u200b-\u200d\u2060\ufeff"
UNSAFE_CHARACTERS = re.compile(f"[{CONTROLS}{DIRECTION_MARKS}]")

_WORD = re.compile(r"\S+")
_UNITS = (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1))


def without_credentials(text: str) -> str:
    """The text without what stands between the "//" and the host of addresses: a user's name, a password, a token."""
    return _WORD.sub(_word_without_credentials, text)


def _word_without_credentials(word: re.Match) -> str:
    begin, end = word[0].find("//") + 2, word[0].rfind("@")
    return f"{word[0][:begin]}***{word[0][end:]}" if 2 <= begin <= end else word[0]


def listed(names: Iterable[str], most: int = 5) -> str:
    """ "a", "a and b", "a, b and c"; beyond `most` names "a, b, c, d, e and 7 more"."""
    names = list(names)
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def counted(number: int, noun: str) -> str:
    """ "1 job", "12,345 jobs"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def duration_in_words(time: timedelta | float) -> str:
    """Its two largest units: "<1s", "45s", "3m 5s", "2h", "3d 4h"; as browsers tick (Intl's "narrow")."""
    exactly = time.total_seconds() if isinstance(time, timedelta) else time
    if 0 < exactly < 1:
        return "<1s"
    seconds, parts = max(0, round(exactly)), []
    for unit, length in _UNITS:
        number, seconds = divmod(seconds, length)
        if number or (unit == "s" and not parts):
            parts.append(f"{number}{unit}")
        elif parts:
            break
    return " ".join(parts[:2])


def size_in_words(size: int) -> str:
    """Bytes as people read them: "512 bytes", "1.5 KiB", "4.0 GiB"."""
    if size < 1024:
        return f"{size} bytes" if size != 1 else "1 byte"
    units = ["KiB", "MiB", "GiB", "TiB", "PiB"]
    number = float(size)
    for unit in units:
        number /= 1024
        if number < 1024 or unit == units[-1]:
            return f"{number:.1f} {unit}"
    raise AssertionError("unreachable")

"""Why somebody asks for a change: in words that others can read, in one line, and never empty."""

import unicodedata

from jobs.log import escape

LONGEST_REASON = 1000
# Letters and symbols by their kind, and yet empty: fillers of Hangul and Braille's blank.
_BLANK = "\u115f\u1160\u2800\u3164\uffa0"


class NoReason(ValueError):
    """Every change says why."""


def cleaned_reason(reason: str) -> str:
    """Raises NoReason, also for one that nobody could see."""
    is_visible = any(unicodedata.category(each)[0] in "LNPS" and each not in _BLANK for each in reason)
    reason = escape(reason.strip()[:LONGEST_REASON])
    if not is_visible:
        raise NoReason("Say why: the reason is shown to the study's author and kept in the audit.")
    return reason

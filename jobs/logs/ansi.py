r"""Terminal sequences in logs: colours stay, the rest cannot do anything.

Hostile programs write them: links that lead elsewhere (OSC 8), text that is hidden (SGR 8), cursors that go back and
write over lines, marks that turn the direction of writing. What a terminal would carry out silently is dropped, what
could deceive is shown as its escape (\x1b, \u202e), and of colours only sixteen are left, which the style sheet
(static/css/log.css) has in both themes: a colour that is like the ground would hide text just as well.
"""

import re
from collections.abc import Iterator

from ansi2html import Ansi2HTMLConverter
from django.utils.html import escape as escape_html
from django.utils.safestring import SafeString

from jobs.log import escape

# Control sequences; character sets; and commands to the terminal, but only with their end: what an unfinished one would
# swallow is shown.
_SEQUENCES = r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[()][0-9A-B]|\][^\x07\x1b\n]*(?:\x07|\x1b\\))"
_SEQUENCE = re.compile(_SEQUENCES)
_SEQUENCE_BYTES = re.compile(_SEQUENCES.encode())
_SGR = re.compile(r"\x1b\[([0-9;:]*)m")
_OURS = re.compile(r"\x1b\[\d{1,3}m")
_SHOWN_CODES = frozenset({0, 1, 2, 3, 4, 7, 9, 22, 23, 24, 27, 29, *range(30, 38), 39, *range(40, 48), 49})
_SHOWN_CODES |= {*range(90, 98), *range(100, 108)}
_FOREGROUND, _BACKGROUND = 38, 48
_CONVERTER = Ansi2HTMLConverter(inline=False)
_MOST_CODES = 32  # in one sequence
_BASIC = (
    (0, 0, 0),
    (170, 0, 0),
    (0, 170, 0),
    (170, 110, 0),
    (0, 0, 170),
    (170, 0, 170),
    (0, 170, 170),
    (190, 190, 190),
)
_BRIGHT = ((85, 85, 85), (255, 85, 85), (85, 255, 85), (255, 255, 85), (85, 85, 255), (255, 85, 255), (85, 255, 255))
_PALETTE = (*_BASIC, *_BRIGHT, (255, 255, 255))


def harmless(text: str) -> str:
    """The text with colours as SGR sequences of one basic code each, and no other control or mark of direction."""
    if "\x1b" not in text:
        return escape(text)
    parts, at = [], 0
    for found in _SEQUENCE.finditer(text):
        parts += [escape(text[at : found.start()]), _basic_colours(found[0])]
        at = found.end()
    return "".join([*parts, escape(text[at:])])


def _basic_colours(sequence: str) -> str:
    sgr = _SGR.fullmatch(sequence)
    return "".join(f"\x1b[{code}m" for code in _basic_codes(sgr[1])) if sgr else ""


def _basic_codes(parameters: str) -> Iterator[int]:
    """Each code on its own; those of 256 and of all colours as the one of sixteen that is the most like it."""
    numbers = [int(each or 0) if len(each) <= 3 else -1 for each in re.split("[;:]", parameters)[:_MOST_CODES]]
    while numbers:
        code = numbers.pop(0)
        if code in (_FOREGROUND, _BACKGROUND) and numbers:
            count = {2: 3, 5: 1}.get(numbers.pop(0), 0)
            colour, numbers = numbers[:count], numbers[count:]
            if len(colour) == count and count:
                basic = _nearest(*colour) if count == 3 else _of_256(colour[0])
                yield (code - 8 if basic < 8 else code + 52 - 8) + basic
        elif code in _SHOWN_CODES:
            yield code


def _of_256(colour: int) -> int:
    if not 0 <= colour <= 255:
        return 7
    if colour < 16:
        return colour
    if colour >= 232:
        return _nearest(*[8 + 10 * (colour - 232)] * 3)
    red, rest = divmod(colour - 16, 36)
    return _nearest(red * 51, rest // 6 * 51, rest % 6 * 51)


def _nearest(red: int, green: int, blue: int) -> int:
    wanted = (red, green, blue)
    return min(range(16), key=lambda n: sum((a - b) ** 2 for a, b in zip(_PALETTE[n], wanted, strict=True)))


class Colours:
    """What the lines so far have left switched on. Not carried from one piece of a log to the next."""

    def __init__(self) -> None:
        self._on: list[str] = []

    def carried_into(self, marked: str) -> str:
        """The harmless text with what was on before it."""
        before = "".join(self._on)
        if "\x1b" in marked:
            for sequence in _OURS.findall(marked):
                self._on = [] if sequence == "\x1b[0m" else [*self._on, sequence][-_MOST_CODES:]
        return before + marked


def to_html(marked: str) -> SafeString:
    """Harmless text as HTML: escaped, colours as spans with classes."""
    if "\x1b" not in marked:
        return escape_html(marked)
    # The converter escapes; all that it adds are spans with classes made from the codes above. A test feeds it tags.
    return SafeString(_CONVERTER.apply_regex(marked)[0])


def without_colours(marked: str) -> str:
    return _OURS.sub("", marked) if "\x1b" in marked else marked


def without_sequences(text: bytes) -> bytes:
    return _SEQUENCE_BYTES.sub(b"", text)

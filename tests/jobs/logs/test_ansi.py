"""What hostile programs write into logs cannot deceive whoever reads them."""

import html
import re

import pytest

from jobs.logs import ansi


def shown(text: str) -> str:
    """The text as a browser would show it."""
    return html.unescape(re.sub(r'<span class="[a-z0-9_ -]+">|</span>', "", ansi.to_html(ansi.harmless(text))))


@pytest.mark.parametrize(
    ("written", "seen"),
    [
        ("plain", "plain"),
        ("a\ttab", "a\ttab"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b[2K\x1b[1Aup\x1b[?25l", "up"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;https://evil.example/\x07link\x1b]8;;\x07", "link"),
        ("\x1b]8;;https://evil.example/\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]0;never ends", r"\x1b]0;never ends"),
        ("\x1bPhidden\x1b\\", r"\x1bPhidden\x1b\\"[:-1]),
        ("back\x08\x00\x07", r"back\x08\x00\x07"),
        ("\x9b31mred", r"\x9b31mred"),
        ("user\u202etxt.exe", r"user\u202etxt.exe"),
        ("zero\u200bwidth", r"zero\u200bwidth"),
        ("\u2028line", r"\u2028line"),
        ("\x1b(0qqq\x1b(B", "qqq"),
    ],
)
def test_sequences_do_nothing_and_what_could_deceive_is_shown(written, seen):
    assert shown(written) == seen


@pytest.mark.parametrize("colours", ["", "\x1b[31m", "\x1b[38;5;200;7m"])
def test_markup_of_a_log_is_text(colours):
    page = ansi.to_html(ansi.harmless(f"{colours}<script>alert(1)</script> <img src=x onerror='a()'> &amp; \"quoted\""))
    tags = re.findall(r"<[^>]*>", page)
    assert [tag for tag in tags if not re.fullmatch(r'<span class="[a-z0-9_ ]+">|</span>', tag)] == []
    assert "&lt;script&gt;" in page
    assert "&amp;amp;" in page


def test_text_that_is_switched_to_hidden_is_shown():
    assert ansi.to_html(ansi.harmless("\x1b[8mpassword\x1b[28m")) == "password"
    assert ansi.to_html(ansi.harmless("\x1b[31;8mpassword\x1b[0m")) == '<span class="ansi31">password</span>'


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ("38;5;196", 31),
        ("38;5;203", 91),
        ("38;5;2", 32),
        ("38;5;244", 90),
        ("48;5;1", 41),
        ("38;2;0;170;0", 32),
        ("48;2;85;85;255", 104),
    ],
)
def test_any_colour_becomes_the_one_of_sixteen_that_is_the_most_like_it(parameters, code):
    assert ansi.harmless(f"\x1b[{parameters}mx") == f"\x1b[{code}mx"


@pytest.mark.parametrize(
    "parameters", ["38", "38;5", "38;2;1", "38;5;999", "9999999999999", ";;;", "1;" * 5000, "5", "6"]
)
def test_senseless_parameters_harm_nothing(parameters):
    assert shown(f"\x1b[{parameters}mtext") == "text"


def test_colours_go_on_in_the_next_line_until_they_are_switched_off():
    colours = ansi.Colours()
    assert colours.carried_into("\x1b[31mone") == "\x1b[31mone"
    assert colours.carried_into("two\x1b[0m") == "\x1b[31mtwo\x1b[0m"
    assert colours.carried_into("three") == "three"


def test_what_is_carried_has_a_bound():
    colours = ansi.Colours()
    colours.carried_into("\x1b[1m" * 10_000)
    assert len(colours.carried_into("x")) < 1000

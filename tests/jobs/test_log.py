"""Nothing that a study wrote can forge a log line or steer an operator's terminal."""

import io
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.log import LineFormatter, escape


@pytest.fixture
def logged():
    """What a logger with our formatter has written."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LineFormatter("{levelname} {name}: {message}", style="{"))
    logger = logging.getLogger("test_log")
    logger.addHandler(handler)
    logger.propagate = False
    yield stream
    logger.removeHandler(handler)
    logger.propagate = True


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("naïve café 漢字 🎉", "naïve café 漢字 🎉"),
        ("a\tb", "a\tb"),
        ("a\nERROR root: forged", "a\\nERROR root: forged"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("carriage\rreturn", "carriage\\rreturn"),
        ("bell\x07 del\x7f c1\x9b", "bell\\x07 del\\x7f c1\\x9b"),
        ("line\u2028separator", "line\\u2028separator"),
        ("txt.\u202egnp", "txt.\\u202egnp"),
        ("\u061cmark", "\\u061cmark"),
        ("a\u200bb\u200cc\u200dd\u2060e", "a\\u200bb\\u200cc\\u200dd\\u2060e"),
        ("\ufeffmark soft\u00adhyphen", "\\ufeffmark soft\\xadhyphen"),
        ("not utf-8: \udcff", "not utf-8: \\udcff"),
    ],
)
def test_what_could_forge_or_hide_is_shown_as_its_escape(text, shown):
    assert escape(text) == shown


@given(st.text(alphabet=st.characters(codec=None)))
def test_any_text_becomes_one_line_that_can_be_written(text):
    shown = escape(text)
    assert len(shown.splitlines()) <= 1
    shown.encode()  # a lone surrogate could not be written
    assert escape(shown) == shown


def test_one_record_is_one_line(logged):
    logging.getLogger("test_log").error("action %s failed", "a\nINFO root: all is well")
    assert logged.getvalue() == "ERROR test_log: action a\\nINFO root: all is well failed\n"


def test_the_lines_of_a_traceback_cannot_pass_for_records(logged):
    try:
        raise ValueError("first\nERROR root: forged \x1b[31m")
    except ValueError:
        logging.getLogger("test_log").exception("it failed")

    first, *rest = logged.getvalue().splitlines()
    assert first == "ERROR test_log: it failed"
    assert rest and all(line.startswith("    ") for line in rest)
    assert "    ERROR root: forged \\x1b[31m" in rest

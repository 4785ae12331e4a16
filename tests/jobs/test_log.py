"""Nothing that a study wrote can forge a log line or steer an operator's terminal."""

import io
import json
import logging
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobrunner_site.secret_values import secrets_in
from jobs.log import JsonFormatter, LineFormatter, about, escape


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


# As JSON


@pytest.fixture
def as_json():
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger("test_log_json")
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    logger.propagate = False
    yield logger, lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    logger.removeHandler(handler)
    logger.propagate = True


def test_a_record_is_one_object_with_what_it_is_about(as_json):
    logger, told = as_json
    with about(request="r1"), about(job="j1", action="évil\n\x1b", workspace="w"):
        logger.info("ended with %d", 3)
    logger.warning("alone")
    first, second = told()
    assert first.pop("time").endswith("Z")
    assert first == {
        "level": "INFO", "logger": "test_log_json", "message": "ended with 3",
        "request": "r1", "job": "j1", "action": "évil\n\x1b", "workspace": "w",
    }  # fmt: skip
    assert set(second) == {"time", "level", "logger", "message"}


def test_what_a_record_is_about_can_replace_none_of_its_own_members(as_json):
    logger, told = as_json
    with about(message="forged", level="DEBUG"):
        logger.info("true")
    assert (told()[0]["message"], told()[0]["level"]) == ("true", "INFO")


def test_an_error_comes_with_its_traceback_in_the_same_line(as_json):
    logger, told = as_json
    try:
        raise ValueError("a\nb")
    except ValueError:
        logger.exception("failed")
    (record,) = told()
    assert record["exception"].startswith("Traceback") and record["exception"].endswith("ValueError: a\nb")


@given(st.text(alphabet=st.characters(codec=None)))
def test_any_text_becomes_one_line_of_ascii(text):
    record = logging.LogRecord("x", logging.INFO, "f", 1, text, (), None)
    line = JsonFormatter().format(record)
    assert line.isascii() and len(line.splitlines()) == 1 and json.loads(line)["message"] == text


def test_what_one_thread_works_on_another_s_records_are_not_about(as_json):
    logger, told = as_json
    with about(job="mine"):
        thread = threading.Thread(target=logger.info, args=("other",))
        thread.start()
        thread.join()
    assert "job" not in told()[0]


# Secrets


@pytest.fixture
def secret(settings) -> str:
    settings.LOGS_NEVER_SHOW = ("s3cret-token-of-ours",)
    return "s3cret-token-of-ours"


def test_no_secret_is_written_wherever_it_stands(secret, logged, as_json):
    logger, told = as_json
    for each in (logger, logging.getLogger("test_log")):
        try:
            raise ValueError(f"refused {secret}")
        except ValueError:
            with about(workspace=secret):
                each.exception("with %s at %s", secret, f"https://x:{secret}@host/")
    assert secret not in logged.getvalue() + json.dumps(told())
    assert "with *** at https://x:***@host/" in logged.getvalue()


def test_the_secrets_are_those_of_the_settings():
    found = secrets_in(
        "token-of-a-server", "", "short", "with\nbreak",
        addresses=("https://user:pa%2Fssword@proxy:1", "sqlite:////var/db.sqlite3", "postgres://u@h/d", "http://[bad",
                   "postgresql:///d?host=h&password=behind%21it&sslpassword=of-the-key"),
    )  # fmt: skip
    assert set(found) == {"token-of-a-server", "with\nbreak", "with\\nbreak", "pa%2Fssword", "pa/ssword",
                          "behind%21it", "behind!it", "of-the-key"}  # fmt: skip
    assert list(found) == sorted(found, key=len, reverse=True)


def test_this_site_s_secrets_are_among_them(settings):
    assert settings.SECRET_KEY in settings.LOGS_NEVER_SHOW

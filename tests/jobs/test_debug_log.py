"""The second log: every detail, bounded, readable by nobody else, and a trouble with it stops nothing."""

import io
import logging
import stat

import pytest

from jobs.debug_log import debug_log


@pytest.fixture
def secret(settings) -> str:
    settings.LOGS_NEVER_SHOW = ("s3cret-token-of-ours",)
    return "s3cret-token-of-ours"


@pytest.fixture
def debug_folder(settings, tmp_path):
    settings.DEBUG_LOG_DIR = str(tmp_path / "debug" / "logs")
    return tmp_path / "debug" / "logs"


def test_the_debug_log_gets_everything_and_the_usual_one_no_more_than_before(debug_folder, secret):
    root, usual = logging.getLogger(), io.StringIO()
    handler = logging.StreamHandler(usual)
    root.addHandler(handler)
    level = root.level
    root.setLevel(logging.INFO)
    try:
        with debug_log("run"):
            logging.getLogger("jobs.anything").debug("detail %s\nforged", secret)
            logging.getLogger("jobs.anything").info("news")
        logging.getLogger("jobs.anything").debug("afterwards")
        assert root.level == logging.INFO and handler.level == logging.NOTSET
    finally:
        root.setLevel(level)
        root.removeHandler(handler)
    written = (debug_folder / "run.log").read_text()
    assert "detail ***\\nforged" in written and "news" in written and "afterwards" not in written
    assert usual.getvalue() == "news\n"
    assert stat.S_IMODE(debug_folder.stat().st_mode) & 0o077 == 0


def test_the_debug_log_is_bounded(debug_folder, monkeypatch):
    monkeypatch.setattr("jobs.debug_log.FILE_BYTES", 2000)
    with debug_log("sync"):
        for number in range(500):
            logging.getLogger("jobs.anything").debug("line %d", number)
    files = sorted(file.name for file in debug_folder.iterdir())
    assert files == ["sync.log", "sync.log.1", "sync.log.2", "sync.log.3", "sync.log.4"]
    assert "line 499" in (debug_folder / "sync.log").read_text()


def test_a_folder_that_cannot_be_written_stops_nothing(settings, tmp_path, caplog):
    (tmp_path / "file").touch()
    settings.DEBUG_LOG_DIR = str(tmp_path / "file" / "logs")
    with debug_log("run"):
        pass
    assert "cannot be written" in caplog.text


def test_without_a_folder_there_is_none():
    before = list(logging.getLogger().handlers)
    with debug_log("run"):
        assert logging.getLogger().handlers == before

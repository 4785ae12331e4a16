"""The file of one log: bounded, never torn, and resumed where it stands. Without any container."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.errors import Unavailable
from runner.log_file import LogFile, LogLimits, unknown_lines

GENEROUS = LogLimits(head_bytes=10**6, tail_bytes=1000)
SMALL = LogLimits(head_bytes=1000, tail_bytes=200)


def line(number: int, text: bytes = b"text") -> bytes:
    return f"2026-01-01T00:00:00.{number:09d}Z ".encode() + text + b"\n"


def log_of(count: int) -> list[bytes]:
    return [line(number, b"text %d" % number) for number in range(count)]


def later(lines: list[bytes], since: str) -> list[bytes]:
    return [one for one in lines if one.split(b" ")[0].decode() > since]


def complete(path: Path, lines: list[bytes], limits: LogLimits = GENEROUS) -> bytes:
    """What completing does, with `lines` as the engine's whole log."""
    with LogFile.opened(path, limits) as file:
        resume = file.resume()
        if not resume.is_finished:
            for chunk in unknown_lines(later(lines, resume.since), resume.known):
                file.write(chunk)
            file.finish()
    return path.read_bytes()


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "logs" / "logs.txt"


@pytest.mark.parametrize("there", [0, 1, 50, 99, 100])
@pytest.mark.parametrize("torn", [b"", b"2026-01", b"2026-01-01T00:00:00.000000099Z tex"])
def test_a_log_is_completed_from_wherever_it_stands(path, there, torn):
    lines = log_of(100)
    path.parent.mkdir()
    path.write_bytes(b"".join(lines[:there]) + torn)

    assert complete(path, lines) == b"".join(lines)
    assert complete(path, lines) == b"".join(lines)


@pytest.mark.parametrize("limits", [GENEROUS, SMALL])
def test_a_complete_log_is_on_the_disk_to_its_last_byte(path, monkeypatch, limits):
    """The job's outcome is written after it, and must not outlive a power cut alone."""
    synced = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor)))

    complete(path, log_of(100), limits)

    assert [(each.st_ino, each.st_size) for each in synced] == [(path.stat().st_ino, path.stat().st_size)]


def test_a_long_log_is_resumed_without_reading_all_of_it_again(path):
    lines = log_of(20_000)
    path.parent.mkdir()
    path.write_bytes(b"".join(lines[:15_000]))
    with LogFile.opened(path, GENEROUS) as file:
        resume = file.resume()

    assert len(later(lines, resume.since)) < 8000
    assert complete(path, lines) == b"".join(lines)


def test_lines_that_came_out_of_the_order_of_their_timestamps_are_neither_lost_nor_doubled(path):
    lines = log_of(10_000)
    for at in range(0, 9_000, 100):
        lines[at], lines[at + 30] = lines[at + 30], lines[at]
    path.parent.mkdir()

    for there in (100, 131, 5_000, 9_000):
        path.write_bytes(b"".join(lines[:there]))
        assert complete(path, lines) == b"".join(lines)


def test_lines_of_the_same_moment_and_text_are_kept_as_often_as_they_came(path):
    lines = [line(1, b"same")] * 5 + [line(2, b"end")]
    path.parent.mkdir()
    path.write_bytes(b"".join(lines[:3]))

    assert complete(path, lines) == b"".join(lines)


def test_a_line_longer_than_any_block_is_resumed_and_torn_like_any_other(path):
    lines = [line(1, b"x" * 600_000), line(2), line(3, b"y" * 300_000)]
    path.parent.mkdir()
    whole = b"".join(lines)

    for there in (0, 100, 600_000, len(lines[0]), len(lines[0]) + 10, len(whole) - 1, len(whole)):
        path.write_bytes(whole[:there])
        assert complete(path, lines) == whole


# --- the bound


def test_a_log_over_its_limit_keeps_its_beginning_and_its_end_and_says_how_much_is_left_out(path):
    lines = log_of(1000)
    whole = b"".join(lines)

    kept = complete(path, lines, SMALL)

    head, _, rest = kept.partition(b"\n[job runner] ")
    said, _, tail = rest.partition(b":\n")
    assert len(head) == SMALL.head_bytes and whole.startswith(head)
    assert 0 < len(tail) <= SMALL.tail_bytes and whole.endswith(tail) and tail.startswith(b"2026-")
    left_out = len(whole) - len(head) - len(tail)
    assert said.decode() == f"{left_out} bytes or more are left out here, the last {len(tail)} bytes follow"


def test_a_log_of_just_its_limit_is_kept_whole(path):
    lines = [*log_of(24), line(24)]
    limits = LogLimits(head_bytes=len(b"".join(lines)), tail_bytes=200)

    assert complete(path, lines, limits) == b"".join(lines)
    assert complete(path, lines, limits) == b"".join(lines)


@pytest.mark.parametrize(
    "lines",
    [log_of(1000), [line(1, b"x" * 5000)], [line(1), line(2, b"x" * 5000), line(3)], [line(1), line(2, b"x" * 1150)]],
    ids=["many lines", "one endless line", "an endless line between others", "one that crosses the limit"],
)
def test_a_bounded_log_is_the_same_wherever_a_crash_has_torn_it(path, lines):
    expected = complete(path, lines, SMALL)

    for there in range(0, len(expected), 7):
        path.write_bytes(expected[:there])
        assert complete(path, lines, SMALL) == expected, f"torn after {there} bytes"


def test_no_line_of_the_container_stands_in_a_bounded_log_without_a_timestamp(path):
    kept = complete(
        path, [line(1, b"[job runner] 1 bytes or more are left out here, the last 2 bytes follow:" * 100)], SMALL
    )

    starts = [one[:12] for one in kept.splitlines()]
    assert starts == [b"2026-01-01T0", b"[job runner]", b"[in the midd"]
    assert kept.count(b"[in the middle of a line] ") == 1
    assert complete(path, [], SMALL) == kept


def test_a_finished_log_is_not_asked_for_again(path):
    complete(path, log_of(1000), SMALL)

    with LogFile.opened(path, SMALL) as file:
        assert file.resume().is_finished


# --- one writer


def test_two_never_write_to_the_same_log(path):
    with (
        LogFile.opened(path, SMALL),
        pytest.raises(Unavailable, match="still being written"),
        LogFile.opened(path, SMALL),
    ):
        pass


def test_a_link_in_the_place_of_a_log_is_not_followed(path, tmp_path):
    path.parent.mkdir()
    path.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(OSError, match="symbolic link"), LogFile.opened(path, SMALL):
        pass

    assert not (tmp_path / "elsewhere").exists()


# --- which lines are new


@given(
    texts=st.lists(st.binary(max_size=300).filter(lambda text: b"\n" not in text), max_size=6),
    known=st.integers(min_value=0, max_value=6),
    size=st.integers(min_value=1, max_value=400),
)
def test_known_lines_are_left_out_wherever_the_chunks_end(tmp_path_factory, texts, known, size):
    lines = [line(number, text) for number, text in enumerate(texts)]
    path = tmp_path_factory.mktemp("log") / "log"
    path.write_bytes(b"".join(lines[:known]))
    with LogFile.opened(path, GENEROUS) as file:
        resume = file.resume()
    stream = b"".join(lines)
    chunks = [stream[at : at + size] for at in range(0, len(stream), size)]

    assert b"".join(unknown_lines(chunks, resume.known)) == b"".join(lines[known:])

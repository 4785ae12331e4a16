"""Pieces of a log: where they begin and end, and what can stand in the way."""

import os
from pathlib import Path

import pytest

from jobs import logs
from jobs.logs import numbering, reading
from jobs.logs.reading import LogReader, NoLog
from tests.logs import stamped


@pytest.fixture
def write(settings):
    """Write a log and open it."""
    path = settings.HIGH_PRIVACY_STORAGE_BASE / "logs" / "2026-11" / "jobrunner-a-1" / "logs.txt"
    path.parent.mkdir(parents=True)

    def write_and_open(content: bytes = b"", *, is_complete: bool = True):
        path.write_bytes(content)
        return logs.opened(path, is_complete=is_complete)

    write_and_open.path = path
    return write_and_open


def numbered(count: int) -> bytes:
    return b"".join(stamped(f"line {number}") for number in range(1, count + 1))


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def texts(piece) -> list[str]:
    return [line.text for line in piece.lines]


def test_pieces_put_together_are_the_whole_log(write):
    with write(numbered(2500)) as reader:
        piece, found = reader.last(), []
        while piece.lines:
            found = texts(piece) + found
            assert piece.lines[0].number == 2500 - len(found) + 1
            piece = reader.before(piece.start)
        assert found == [f"line {number}" for number in range(1, 2501)]
        piece, found = reader.after(0), []
        while piece.lines:
            found += texts(piece)
            piece = reader.after(piece.end)
        assert found == [f"line {number}" for number in range(1, 2501)]


def test_a_piece_around_a_line_has_it_and_its_number(write):
    with write(numbered(5000)) as reader:
        piece = reader.around(3210, 100)
        assert len(piece.lines) == 100
        assert {line.number: line.text for line in piece.lines}[3210] == "line 3210"
        assert reader.around(1, 100).lines[0].number == 1
        assert reader.around(5000, 100).lines[-1].number == 5000
        assert reader.around(5001, 100) is None
        assert reader.around(0, 100) is None


def test_an_offset_within_a_line_means_its_beginning(write):
    content = numbered(3)
    with write(content) as reader:
        assert texts(reader.after(len(stamped("line 1")) + 5)) == ["line 2", "line 3"]
        assert texts(reader.before(len(content) - 3)) == ["line 1", "line 2"]
        assert texts(reader.after(10**14)) == []
        assert texts(reader.before(10**14)) == ["line 1", "line 2", "line 3"]


def test_while_the_runner_writes_a_half_line_does_not_count(write):
    with write(numbered(2) + b"2026-11-26T07:43:00.123456789Z ha", is_complete=False) as reader:
        assert texts(reader.last()) == ["line 1", "line 2"]
        assert reader.after(reader.end).lines == []
    with write(b"2026-11-26T07:43:00.1", is_complete=False) as reader:
        assert reader.last().lines == []
        assert reader.end == 0


def test_an_empty_log_has_no_lines(write):
    with write() as reader:
        assert reader.last().lines == []
        assert reader.around(1) is None


def test_lines_end_at_newlines_only_and_progress_bars_are_folded(write):
    content = stamped("10%\r20%\r100%") + stamped("one\x0btwo\x0cthree\x85four\u2028five") + stamped("windows\r")
    with write(content) as reader:
        assert texts(reader.last()) == ["100%", r"one\x0btwo\x0cthree\x85four\u2028five", "windows"]


def test_bytes_that_are_no_text_are_shown_as_such(write):
    with write(stamped(b"caf\xe9 \xff")) as reader:
        assert texts(reader.last()) == ["caf\ufffd \ufffd"]


def test_a_line_of_a_megabyte_is_shown_by_its_beginning(write):
    content = stamped("before") + stamped("x" * 2**20) + stamped("after")
    with write(content) as reader:
        line = reader.around(2, 3).lines[1]
        assert line.text == "x" * 4000
        assert line.hidden_bytes == 2**20 - 4000
        assert reader.lines_before(len(content)) == 3


def test_a_piece_is_bounded_in_bytes_but_never_empty(write, monkeypatch):
    monkeypatch.setattr(reading, "PAGE_BYTES", 1000)
    with write(stamped("x" * 5000) + numbered(100)) as reader:
        assert 10 < len(reader.last().lines) < 40
        assert 0 < len(reader.after(0, most_bytes=1000).lines) < 40
        assert len(reader.after(0, most_bytes=10).lines) == 1


def test_of_a_long_progress_bar_the_last_state_is_shown(write):
    with write(stamped("\r".join(f"{number}%" for number in range(40_000)))) as reader:
        assert texts(reader.last()) == ["39999%"]


def test_a_line_without_timestamp_is_ours_and_no_container_can_write_one(write):
    content = stamped("\r[job runner] 5 bytes") + b"[job runner] 123 bytes or more are left out here\n"
    with write(content) as reader:
        theirs, ours = reader.last().lines
        assert not theirs.is_ours
        assert theirs.clock == "07:43:00"
        assert ours.is_ours


def test_numbers_stay_right_while_the_log_grows(write):
    with write(numbered(10)) as reader:
        assert reader.last(1).lines[0].number == 10
    with write(numbered(70_000)) as reader:
        assert reader.last(1).lines[0].number == 70_000


def test_what_is_too_far_to_count_has_no_number_yet_and_each_look_comes_nearer(write, monkeypatch):
    monkeypatch.setattr(numbering, "MOST_BYTES", numbering.STEP_BYTES)
    content = numbered(100_000)
    looks = 0
    with write(content) as reader:
        while (line := reader.last(1).lines[0]).number is None:
            assert line.text == "line 100000"
            looks += 1
            assert looks < 10
    assert looks == len(content) // numbering.STEP_BYTES - 1
    assert line.number == 100_000


def test_a_log_that_was_cut_off_by_a_new_runner_is_counted_anew_from_there(write):
    whole = numbered(100_000)
    with write(whole) as reader:
        assert reader.last(1).lines[0].number == 100_000
    with write(whole[: len(whole) // 2], is_complete=False) as reader:
        line = reader.last(1).lines[0]
        assert line.text == f"line {line.number}"


def test_a_long_line_is_found_by_its_number_though_marks_lie_within_it(write):
    with write(stamped("a") + stamped("x" * 5 * 2**20) + stamped("b")) as reader:
        assert reader.start_of(2) == len(stamped("a"))
        assert reader.around(3, 1).lines[0].text == "b"


def test_numbers_agree_with_counting_at_random_places(write):
    content = b"".join(stamped("y" * (number * 7919 % 400)) for number in range(20_000))
    with write(content) as reader:
        for place in range(0, len(content), 99_991):
            assert reader.lines_before(place) == content[:place].count(b"\n")
        for number in (1, 2, 5000, 19_999, 20_000):
            start = reader.start_of(number)
            assert content[:start].count(b"\n") == number - 1
            assert start == 0 or content[start - 1 : start] == b"\n"


# --- what can stand in the way


def test_without_a_file_there_is_no_log(write):
    with pytest.raises(NoLog), logs.opened(write.path, is_complete=True):
        pass


def test_without_the_storage_that_is_said(write, settings, tmp_path):
    settings.HIGH_PRIVACY_STORAGE_BASE = tmp_path / "unmounted"
    path = settings.HIGH_PRIVACY_STORAGE_BASE / "logs.txt"
    with pytest.raises(logs.LogTrouble, match="Is it mounted"), logs.opened(path, is_complete=True):
        pass


def test_no_link_is_followed_at_any_depth(write, tmp_path):
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "logs.txt").write_bytes(stamped("secret"))
    write.path.symlink_to(secret / "logs.txt")
    with pytest.raises(logs.LogTrouble, match="link"), logs.opened(write.path, is_complete=True):
        pass
    write.path.unlink()
    write.path.parent.rmdir()
    write.path.parent.symlink_to(secret)
    with pytest.raises(logs.LogTrouble, match="link"), logs.opened(write.path, is_complete=True):
        pass


def test_only_a_regular_file_is_read_and_a_pipe_holds_nobody_up(write):
    os.mkfifo(write.path)
    with pytest.raises(logs.LogTrouble, match="not a file"), logs.opened(write.path, is_complete=True):
        pass


def test_no_descriptor_is_left_open(write, tmp_path):
    before = open_descriptors()
    for _ in range(3):
        with write(numbered(3)) as reader:
            assert isinstance(reader, LogReader)
        write.path.unlink()
        with pytest.raises(NoLog), logs.opened(write.path, is_complete=True):
            pass
        write.path.mkdir()
        with pytest.raises(logs.LogTrouble), logs.opened(write.path, is_complete=True):
            pass
        write.path.rmdir()
    assert open_descriptors() == before

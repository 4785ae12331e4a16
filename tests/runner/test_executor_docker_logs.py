"""From the engine's frames to lines, without an engine: any borders of blocks, any mixture of the two streams."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.executors.docker.logs import engine_since, lines

STDOUT, STDERR, ENGINE = 1, 2, 3
PIECE_BYTES = 16 * 1024


def stamp(number: int) -> bytes:
    return f"2026-01-01T00:00:00.{number:09d}Z".encode()


def frame(stream: int, message: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(message).to_bytes(4, "big") + message


def message(number: int, text: bytes, stream: int = STDOUT) -> bytes:
    return frame(stream, stamp(number) + b" " + text)


def pieces(number: int, text: bytes, stream: int = STDOUT) -> list[bytes]:
    """A long line as the engine sends it: in pieces, and without its newline."""
    cut = [text[at : at + PIECE_BYTES] for at in range(0, len(text) + 1, PIECE_BYTES)]
    return [message(number, piece, stream) for piece in cut]


def joined(blocks: list[bytes], since: str = "") -> bytes:
    return b"".join(lines(blocks, since, []))


@given(
    texts=st.lists(st.binary(max_size=40).filter(lambda text: b"\n" not in text), max_size=8),
    size=st.integers(min_value=1, max_value=90),
)
def test_lines_are_the_same_wherever_the_blocks_end(texts, size):
    stream = b"".join(message(number, text + b"\n") for number, text in enumerate(texts))
    blocks = [stream[at : at + size] for at in range(0, len(stream), size)]

    assert joined(blocks) == b"".join(stamp(number) + b" " + text + b"\n" for number, text in enumerate(texts))


@pytest.mark.parametrize("length", [PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES, 50_000])
def test_the_pieces_of_a_long_line_become_one_line_with_one_timestamp(length):
    frames = [*pieces(1, b"x" * length), message(2, b"next\n")]

    assert joined(frames) == stamp(1) + b" " + b"x" * length + b"\n" + stamp(2) + b" next\n"


def test_a_long_line_at_the_end_is_closed():
    assert joined([message(1, b"x" * PIECE_BYTES)]) == stamp(1) + b" " + b"x" * PIECE_BYTES + b"\n"


def test_a_line_of_the_other_stream_tears_a_long_line_in_two_and_nothing_is_lost():
    first, *rest = pieces(1, b"x" * (PIECE_BYTES + 10))

    text = joined([first, message(2, b"other\n", STDERR), *rest])

    assert text.split(b"\n") == [
        stamp(1) + b" " + b"x" * PIECE_BYTES,
        stamp(2) + b" other",
        stamp(1) + b" " + b"x" * 10,
        b"",
    ]


def test_two_short_lines_of_one_moment_stay_two_lines():
    assert joined([message(1, b"a\n"), message(1, b"b\n")]) == stamp(1) + b" a\n" + stamp(1) + b" b\n"


def test_since_leaves_out_that_moment_and_all_before_in_whatever_order():
    frames = [message(2, b"two\n"), message(1, b"one\n", STDERR), message(3, b"three\n"), message(2, b"late\n")]

    assert joined(frames, since=stamp(2).decode()) == stamp(3) + b" three\n"


def test_trouble_that_the_engine_has_with_a_log_becomes_a_line_of_it():
    text = joined([message(7, b"seven\n"), frame(ENGINE, b"Error grabbing logs: unexpected\nEOF\n")])

    first, second, _ = text.split(b"\n")
    assert first == stamp(7) + b" seven"
    assert second.startswith(stamp(7) + b" [the engine could not read")
    assert b"unexpected EOF" in second


def test_what_breaks_off_in_the_middle_of_a_frame_is_left_out():
    whole = message(1, b"one\n")

    assert joined([whole, message(2, b"two\n")[:-3]]) == stamp(1) + b" one\n"


@pytest.mark.parametrize(
    ("timestamp", "expected"),
    [("1970-01-01T00:00:02.000000002Z", "1.0"), ("2026-11-23T22:11:32.535822168Z", "1795471891.0")],
)
def test_the_engine_is_asked_from_the_second_before_on(timestamp, expected):
    assert engine_since(timestamp) == expected


# --- an engine that tells whole seconds


def told(text: bytes, *, second: int = 0, stream: int = STDOUT) -> bytes:
    """As Podman frames it, on a host two hours east."""
    return frame(stream, b"2026-01-01T02:00:%02d+02:00 " % second + text)


def test_lines_of_one_second_get_numbers_in_place_of_nanoseconds_and_the_time_is_utc():
    text = joined([told(b"a\n"), told(b"b\n", stream=STDERR), told(b"c\n", second=1)])

    assert text.splitlines() == [
        b"2026-01-01T00:00:00.000000001Z a",
        b"2026-01-01T00:00:00.000000002Z b",
        b"2026-01-01T00:00:01.000000001Z c",
    ]


@given(
    seconds=st.lists(st.integers(min_value=0, max_value=3), max_size=12).map(sorted),
    resumed_after=st.integers(min_value=0, max_value=11),
)
def test_a_log_of_whole_seconds_goes_on_after_any_line_of_it(seconds, resumed_after):
    frames = [told(b"%d\n" % number, second=second) for number, second in enumerate(seconds)]
    lines_of_it = joined(frames).splitlines(keepends=True)
    if resumed_after < len(lines_of_it):
        since = lines_of_it[resumed_after].split()[0].decode()
        from_the_second_on = [
            each for each, second in zip(frames, seconds, strict=True) if second >= seconds[resumed_after]
        ]

        assert joined(from_the_second_on, since).splitlines(keepends=True) == lines_of_it[resumed_after + 1 :]


def test_pieces_that_say_truly_whether_their_line_goes_on_become_one_line():
    long = b"x" * 8192
    text = joined([told(long), told(long, second=1), told(b"end\n", second=2), told(b"next\n", second=2)])

    assert [line[30:] for line in text.splitlines()] == [b" " + long + long + b"end", b" next"]


def test_a_line_that_somebody_writes_bit_by_bit_is_told_second_by_second():
    text = joined([told(b"."), told(b"."), told(b".", second=1), told(b"done\n", second=1)])

    assert [line[30:] for line in text.splitlines()] == [b" ..", b" .done"]


def test_what_is_no_time_is_kept_as_it_is():
    assert joined([frame(STDOUT, b"yesterday a\n")]).endswith(b" a\n")

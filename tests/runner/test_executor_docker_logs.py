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
    [
        ("1970-01-01T00:00:01.000000002Z", "1.000000002"),
        ("2026-11-23T22:11:32.535822168Z", "1795471892.535822168"),
        ("1970-01-01T00:00:01Z", "1.0"),
    ],
)
def test_the_engine_gets_its_since_without_losing_a_nanosecond(timestamp, expected):
    assert engine_since(timestamp) == expected

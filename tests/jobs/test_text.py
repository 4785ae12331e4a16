"""Pieces of sentences."""

from datetime import timedelta

import pytest

from jobs.text import duration_in_words, listed, size_in_words


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        ([], ""),
        (["a"], "a"),
        (["a", "b"], "a and b"),
        (["a", "b", "c"], "a, b and c"),
        (list("abcde"), "a, b, c, d and e"),
        (list("abcdef"), "a, b, c, d, e and 1 more"),
        (list("abcdefghijkl"), "a, b, c, d, e and 7 more"),
    ],
)
def test_names_are_listed_as_people_say_them_and_long_lists_are_cut(names, sentence):
    assert listed(names) == sentence


def test_names_may_come_from_anything_that_can_be_walked_through_once():
    assert listed(name for name in ("a", "b")) == "a and b"
    assert listed({"default": 1, "full": 2}) == "default and full"


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (1023, "1023 bytes"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (16 * 1024**2, "16.0 MiB"),
        (4 * 1024**3, "4.0 GiB"),
        (5 * 1024**5, "5.0 PiB"),
        (5000 * 1024**5, "5000.0 PiB"),
    ],
)
def test_sizes_are_told_in_the_unit_that_people_would_use(size, words):
    assert size_in_words(size) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "0s"), (0, "0s"), (0.4, "<1s"), (59.6, "1m"), (45, "45s"), (185, "3m 5s"), (2340, "39m"), (3600, "1h"),
        (3605, "1h"), (7500, "2h 5m"), (86_400 * 3 + 14_400 + 59, "3d 4h"), (86_400 + 60, "1d"),
    ],
)  # fmt: skip
def test_a_duration_is_told_by_its_two_largest_units(seconds, words):
    assert duration_in_words(seconds) == duration_in_words(timedelta(seconds=seconds)) == words

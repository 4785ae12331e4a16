"""Pieces of sentences."""

import pytest

from jobs.text import listed, size_in_words


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

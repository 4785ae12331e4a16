"""Finding lines in a whole log."""

import itertools

import pytest

from jobs import logs
from jobs.logs import searching
from jobs.logs.searching import BadSearch, Search, error_lines, search
from tests.logs import stamped


@pytest.fixture
def found(settings):
    """The numbers of the lines that match."""

    def look(content: bytes, words: str = "", **options):
        path = settings.HIGH_PRIVACY_STORAGE_BASE / "logs.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        clock = options.pop("clock", itertools.repeat(0.0).__next__)
        with logs.opened(path, is_complete=True) as reader:
            if not words:
                return error_lines(reader, clock)
            return search(reader, Search(words, **options), clock)

    return look


LOG = b"".join(
    stamped(text)
    for text in (
        "alpha",
        "Beta (1)",
        "",
        "gamma beta",
        "\x1b[31mbe\x1b[0mta coloured",
        "beta\rgone\rdelta",
        "ends in alpha",
    )
)


@pytest.mark.parametrize(
    ("words", "options", "numbers"),
    [
        ("alpha", {}, [1, 7]),
        ("beta", {}, [2, 4, 5]),
        ("beta", {"is_case_sensitive": True}, [4, 5]),
        ("(1)", {}, [2]),
        ("2026", {}, []),
        ("07:43", {}, []),
        ("delta", {}, [6]),
        ("gone", {}, []),
        ("^beta", {"is_regex": True}, [2, 5]),
        ("^(alpha|gamma)", {"is_regex": True}, [1, 4]),
        ("alpha$", {"is_regex": True}, [1, 7]),
        ("[^x]alpha", {"is_regex": True}, [7]),
        (r"\^beta", {"is_regex": True}, []),
        ("^2026", {"is_regex": True}, []),
        (r"^\w+ beta$", {"is_regex": True}, [4]),
        ("alpha[^b]+eta", {"is_regex": True}, []),
        ("no such words", {}, []),
    ],
)
def test_lines_are_found_as_they_are_shown(found, words, options, numbers):
    assert found(LOG, words, **options).numbers == numbers


def test_capitals_do_not_matter_beyond_ascii_either(found):
    assert found(stamped("ÄRZTE"), "ärzte").numbers == [1]


@pytest.mark.parametrize("words", ["(a", "[", "a{2000}", r"\1", "(?=a)", "x*", "^", "$", "a|"])
def test_an_expression_that_cannot_be_used_is_refused_with_a_sentence(found, words):
    with pytest.raises(BadSearch, match="expression"):
        found(LOG, words, is_regex=True)


def test_a_search_for_nothing_is_refused():
    with pytest.raises(BadSearch):
        Search("").compiled()


@pytest.mark.parametrize("words", ["(a+)+$", "(a|aa)+b", "(.*)*(.*)*(.*)*b$", "(a?){50}a{50}b"])
def test_no_expression_takes_more_than_linear_time(found, words):
    """A backtracking engine would need longer than the universe is old."""
    assert found(stamped("a" * 100_000), words, is_regex=True).count <= 1


def test_a_search_ends_when_its_time_is_over_and_says_how_far_it_came(found):
    content = stamped("needle") * 40_000
    times = iter([0.0, 0.1, 0.2, searching.SECONDS + 0.1])
    result = found(content, "needle", clock=times.__next__)
    assert not result.is_whole
    assert 0 < result.searched_bytes < len(content)
    assert result.count == result.searched_bytes // len(stamped("needle"))


def test_of_many_hits_all_are_counted_and_the_first_are_kept(found):
    result = found(stamped("needle needle") * 5000, "needle")
    assert result.count == 5000
    assert result.numbers == list(range(1, searching.MOST_HITS + 1))
    assert result.is_whole


def test_numbers_are_right_beyond_the_first_block(found):
    content = stamped("hay" * 20) * 20_000 + stamped("needle") + stamped("hay") * 20_000 + stamped("needle")
    assert found(content, "needle").numbers == [20_001, 40_002]


def test_a_line_longer_than_a_block_is_one_line(found):
    content = stamped("x" * 1_000_000 + "needle") + stamped("y needle")
    assert set(found(content, "needle").numbers) == {1, 2}


def test_the_lines_that_look_like_errors_are_found_as_pages_mark_them(found):
    content = b"".join(
        stamped(text) for text in ("fine", "Error in f()", "0 errors", "\x1b[31mValueError: x\x1b[0m", "r(111);")
    )
    assert found(content).numbers == [2, 4, 5]

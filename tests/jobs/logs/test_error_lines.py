"""Which lines look like an error."""

import pytest

from jobs.logs.error_lines import is_error


@pytest.mark.parametrize(
    "line",
    [
        "Traceback (most recent call last):",
        "ValueError: no rows",
        "pandas.errors.EmptyDataError: No columns to parse from file",
        "KeyError",
        "Error in library(dplyr) : there is no package called 'dplyr'",
        "Error: object 'x' not found",
        "Execution halted",
        "r(198);",
        "2026-11-26 07:00:00 ERROR cannot read",
        "ERROR: LoadError: SystemError: opening file",
        "[error] no such table",
        "fatal: not a git repository",
        "error: unknown option",
        "/bin/sh: 1: stata: command not found",
        "Segmentation fault (core dumped)",
        "Killed",
        "make: Error: 2",
        "Error: cannot allocate vector of size 7.5 Gb",
        "java.lang.OutOfMemoryError: Java heap space",
    ],
)
def test_it_is_an_error(line):
    assert is_error(line)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "0 errors, 0 warnings",
        "no error",
        "mean squared error 0.12",
        "standard error of the mean: 3.1",
        "ERROR_RATE = 0.1",
        "importing TypeErrorHandler",
        "Killed 3 processes",
        "the error bars are in figure 2",
        "fatalities by week: 12",
    ],
)
def test_it_is_none(line):
    assert not is_error(line)


def test_only_the_beginning_of_a_long_line_is_looked_at():
    assert not is_error(" " * 10_000 + "ValueError: no rows")

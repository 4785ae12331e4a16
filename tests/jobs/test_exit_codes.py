"""What exit codes are said to mean."""

import pytest

from jobs.exit_codes import meaning


@pytest.mark.parametrize("code", [0, 1, 2, 125, 126, 127, 134, 137, 139, 143, 255, 77])
def test_every_code_is_explained(code):
    assert meaning(code, out_of_memory=False)


def test_137_is_only_called_out_of_memory_with_the_engines_evidence():
    assert "did not report that memory ran out" in meaning(137, out_of_memory=False)
    assert meaning(137, out_of_memory=True) == "the engine reported that memory ran out"


def test_a_job_without_an_exit_code_has_no_meaning():
    assert meaning(None, out_of_memory=False) == ""

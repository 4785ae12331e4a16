"""How outputs are explained: a fix for each rule, the pattern that promised a file."""

import pytest

from jobs.output_rules import FIXES, fix_of, matches, pattern_of
from runner.disclosure import Rule


def test_every_rule_of_the_disclosure_checks_has_a_fix_and_there_are_no_others():
    assert set(FIXES) == {str(rule) for rule in Rule}
    assert all(FIXES[rule] for rule in Rule if rule != Rule.PASSED)


def test_a_rule_of_another_version_gets_advice_too():
    assert "highly_sensitive" in fix_of("a_rule_to_come")


@pytest.mark.parametrize(
    ("pattern", "path", "is_match"),
    [
        ("output/*.csv", "output/table.csv", True),
        ("output/*.csv", "output/deep/table.csv", False),
        ("output/**/t.csv", "output/a/t.csv", True),
        ("output/a.csv", "output/abcsv", False),
        ("output/*.csv", "output/.csv\n", False),
    ],
)
def test_a_star_stands_for_anything_within_one_part_of_a_path(pattern, path, is_match):
    assert matches(pattern, path) is is_match


def test_the_pattern_of_the_outputs_own_level_goes_first():
    spec = {"highly_sensitive": {"all": "output/*"}, "moderately_sensitive": {"table": "output/*.csv"}}
    assert pattern_of("output/t.csv", "moderately_sensitive", spec) == "output/*.csv"
    assert pattern_of("output/t.csv", "highly_sensitive", spec) == "output/*"
    assert pattern_of("elsewhere", "highly_sensitive", spec) == ""
    assert pattern_of("elsewhere", "highly_sensitive", {"highly_sensitive": None}) == ""

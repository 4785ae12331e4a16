"""Whatever the bytes, there is a Project or a ProjectError of at most a kilobyte."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.log import escape
from jobs.project import Project, ProjectError, load_project

STUDY = b"""\
version: '3.0'
expectations:
  population_size: 1000
actions:
  extract: &base
    run: cohortextractor:latest generate_cohort --study-definition "study definition"
    dummy_data_file: dummy.csv
    outputs:
      highly_sensitive:
        cohort: output/input.csv
  report:
    <<: *base
    run: >
      python:v2 python analysis/report.py
        --month 2020-01
    needs: [extract]
    config: {months: [1, 2.5, null, true], name: it's}
    outputs:
      moderately_sensitive:
        table: output/*.csv
"""
MARKS = (
    b"\0 \xff \xed\xa0\x80 \xef\xbb\xbf \xe2\x80\xae & * << ? : - [ ] { } ' \" | > # % @ ` ! !!str !!binary --- ... "
    b"2001-99-99 .inf .nan 0x 1e999 ~ null true run_all ../ /a .git/ \\ *a &a needs outputs run version 6 4 5.0 \t"
)
PIECES = [*MARKS.split(b" "), b" ", b"\n", b"\r\n", b"9" * 5000, b"[" * 500, b"- " * 500, b"x" * 1000, b"\n  "]
KEYS = st.sampled_from(
    ["version", "actions", "run", "outputs", "needs", "config", "highly_sensitive", "a", 1, None, 1.5]
)
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.sampled_from(["a", "r:v1"])
)


def check(data):
    try:
        project = load_project(data)
    except ProjectError as error:
        assert len(str(error).encode()) <= 1024
        assert escape(str(error)) == str(error)
        return
    assert isinstance(project, Project)
    for name in project.actions:
        for is_dummy in (True, False):
            try:
                assert project.run_command(name, using_dummy_data_backend=is_dummy)
            except ProjectError as error:
                assert len(str(error).encode()) <= 1024


@st.composite
def mutated_studies(draw):
    data = STUDY
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(data)))
        end = start + draw(st.integers(0, 12))
        data = data[:start] + draw(st.sampled_from(PIECES)) + data[end:]
    return data


@pytest.mark.slow_test
@settings(max_examples=400, deadline=None)
@given(mutated_studies())
def test_a_mutated_study_is_a_project_or_a_project_error(data):
    check(data)


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.binary(max_size=300), st.text(max_size=300)))
def test_any_bytes_and_any_text_are_a_project_or_a_project_error(data):
    check(data)


def as_yaml(value, depth=0) -> str:
    """Flow style, with keys that need not be text."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"? {as_yaml(key)} : {as_yaml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(as_yaml, value)) + "]"
    if isinstance(value, str) and value.isidentifier():
        return value
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else str(value).lower().replace("none", "~")


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([0.5, 1, 2, 3, 3.5, 4, 5]),
    st.recursive(
        VALUES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5), max_leaves=15
    ),
    st.recursive(
        VALUES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5), max_leaves=15
    ),
)
def test_values_of_any_kind_in_any_place_are_a_project_or_a_project_error(version, entry, outputs):
    body = {"run": "r:v1 a", "outputs": outputs, "needs": entry, "config": entry, "dummy_data_file": entry}
    expectations = {"expectations": {"population_size": 1}} if version == 3 else {}
    for actions in ({"a": body}, {"a": {**body, "needs": [], "run": entry}}, {"a": entry}, entry):
        check(as_yaml({"version": version, **expectations, "actions": actions}))

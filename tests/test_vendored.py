"""The files of other people's libraries are those that were taken from their packages, to the byte."""

import hashlib
import json

import pytest

from tests.site import ROOT

FOLDER = ROOT / "static" / "vendor"
LISTED = json.loads((FOLDER / "VENDOR.json").read_text())


def test_every_file_is_listed_and_every_listed_file_is_there():
    assert {file.name for file in FOLDER.iterdir()} - {"VENDOR.json"} == set(LISTED)


@pytest.mark.parametrize("name", LISTED)
def test_a_file_is_what_the_list_says(name):
    assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == LISTED[name]["sha256"]
    assert LISTED[name]["version"] and LISTED[name]["licence"]


@pytest.mark.parametrize("name", LISTED)
def test_a_file_asks_for_nothing_that_is_not_here(name):
    assert b"sourceMappingURL" not in (FOLDER / name).read_bytes()

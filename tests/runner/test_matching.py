"""Rules of matching output patterns against what a job left."""

import json
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.matching import match, stored_name
from runner.near import near_files


def made(folder: Path, *names: str | bytes) -> Path:
    for name in names:
        path = os.fsencode(folder) + b"/" + os.fsencode(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(b"x")
    return folder


def spec(*patterns: str, level: str = "highly_sensitive") -> dict:
    return {level: {str(number): pattern for number, pattern in enumerate(patterns)}}


def names(matched) -> list[str]:
    return [file.stored_name for file in matched.files]


def reasons(matched) -> str:
    return "\n".join(map(str, matched.refused))


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("output/a.csv", ["output/a.csv"]),
        ("output/*.csv", ["output/.hidden.csv", "output/a.csv", "output/b.csv"]),
        ("output/*", ["output/.hidden.csv", "output/a.csv", "output/b.csv", "output/c.txt"]),
        ("*/a.csv", ["output/a.csv"]),
        ("*.txt", ["top.txt"]),
        ("output/*/d.csv", ["output/deep/d.csv"]),
        ("o*t/d*p/*.csv", ["output/deep/d.csv"]),
        ("output/*a*.csv", ["output/a.csv"]),
        ("output/deep/d.csv", ["output/deep/d.csv"]),
    ],
)
def test_a_star_stands_for_anything_within_one_part_of_a_path(tmp_path, pattern, expected):
    made(tmp_path, "output/a.csv", "output/b.csv", "output/c.txt", "output/.hidden.csv", "output/deep/d.csv", "top.txt")

    matched = match(tmp_path, spec(pattern))

    assert names(matched) == expected and matched.unmatched == []


@pytest.mark.parametrize(
    "pattern", ["output/[a].csv", "output/?.csv", "output/a.cs", "output/A.csv", "a.csv", "../job/a"]
)
def test_nothing_but_a_star_is_special(tmp_path, pattern):
    made(tmp_path, "output/a.csv")

    matched = match(tmp_path, spec(pattern))

    assert names(matched) == [] and matched.unmatched == [pattern]


@given(
    parts=st.lists(
        st.text("ab*.", min_size=1, max_size=5).filter(lambda part: part.strip(".") and "**" not in part),
        min_size=1,
        max_size=3,
    )
)
def test_patterns_match_what_pathlib_matches(tmp_path_factory, parts):
    folder = tmp_path_factory.getbasetemp() / "pathlib"
    if not folder.exists():
        made(
            folder, *(f"{a}/{b}/{c}" for a in ("a", "ab", ".a") for b in ("b", "a.b", "bb") for c in ("a", "a.b", ".b"))
        )
        made(folder, "aa", "b.a", "a/aa", "ab/b.a")
    pattern = "/".join(parts)

    matched = match(folder, spec(pattern))

    assert names(matched) == sorted(str(path.relative_to(folder)) for path in folder.glob(pattern) if path.is_file())


def test_a_star_stands_for_any_character_of_a_name_a_line_end_too(tmp_path):
    made(tmp_path, "output/a\nb.csv")

    assert names(match(tmp_path, spec("output/a*.csv"))) == ["output/a%0Ab.csv"]


@pytest.mark.parametrize(("length", "is_stored"), [(1024, True), (1025, False)])
def test_a_path_that_the_database_cannot_index_is_refused_in_words(tmp_path, length, is_stored):
    folders = [letter * 200 for letter in "abcde"]
    path = "/".join([*folders, "x" * (length - 1005 - 2) + "\u00e9"])  # of two bytes
    made(tmp_path, path)

    matched = match(tmp_path, spec("/".join(["*"] * 6)))

    assert (names(matched) == [path]) is is_stored
    assert ("has a path of over 1,024 bytes; shorten it" in reasons(matched)) is not is_stored


def test_every_pattern_without_a_file_is_named_once_in_the_order_of_the_study(tmp_path):
    made(tmp_path, "a.csv")

    matched = match(tmp_path, spec("z.csv", "a.csv", "b/*.csv") | spec("z.csv", level="minimally_sensitive"))

    assert matched.unmatched == ["z.csv", "b/*.csv"]


def test_a_file_of_two_levels_gets_the_more_sensitive_one(tmp_path):
    made(tmp_path, "output/rows.csv", "output/table.csv")

    matched = match(
        tmp_path, spec("output/*.csv", level="moderately_sensitive") | spec("output/rows.csv", level="highly_sensitive")
    )

    assert {file.stored_name: file.level for file in matched.files} == {
        "output/rows.csv": "highly_sensitive",
        "output/table.csv": "moderately_sensitive",
    }


def test_links_pipes_and_second_names_are_refused_by_name_and_do_not_count_as_a_match(tmp_path):
    folder = made(tmp_path / "job", "output/original.csv")
    (tmp_path / "other.csv").write_text("another study's")
    (folder / "output" / "link.csv").symlink_to(tmp_path / "other.csv")
    (folder / "output" / "hard.csv").hardlink_to(tmp_path / "other.csv")
    os.mkfifo(folder / "output" / "fifo.csv")
    (folder / "outside").symlink_to(tmp_path)

    matched = match(folder, spec("output/*.csv", "output/link.csv", "outside/other.csv"))

    assert names(matched) == ["output/original.csv"]
    assert matched.unmatched == ["output/link.csv", "outside/other.csv"]
    for words in (
        "output/link.csv is a symbolic link",
        "output/hard.csv is a hard link",
        "output/fifo.csv is a named pipe",
        "outside is a symbolic link",
    ):
        assert words in reasons(matched)


@pytest.mark.parametrize(
    ("pattern", "file"),
    [
        ("*/manifest.json", "metadata/manifest.json"),
        ("m*/manifest.json", "metadata/manifest.json"),
        ("metadata/a.log", "metadata/a.log"),
        ("*/config", ".git/config"),
        (".publishing/x/plan.json", ".publishing/x/plan.json"),
    ],
)
def test_what_belongs_to_the_runner_or_git_is_no_output(tmp_path, pattern, file):
    made(tmp_path, file)

    matched = match(tmp_path, spec(pattern))

    assert names(matched) == [] and "is reserved" in reasons(matched)


def test_a_folder_deeper_down_may_be_called_metadata(tmp_path):
    made(tmp_path, "output/metadata/a.csv")

    assert names(match(tmp_path, spec("output/*/a.csv"))) == ["output/metadata/a.csv"]


def test_a_folder_where_a_file_is_promised_is_said_to_be_one(tmp_path):
    (tmp_path / "output" / "a.csv").mkdir(parents=True)

    matched = match(tmp_path, spec("output/a.csv"))

    assert matched.unmatched == ["output/a.csv"] and "output/a.csv is a folder" in reasons(matched)


ODD_NAMES = {
    b"new\nline.csv": "new%0Aline.csv",
    b"esc\x1b[31m.csv": "esc%1B[31m.csv",
    b"tab\t.csv": "tab%09.csv",
    b"\xff\xfe.csv": "%FF%FE.csv",
    "\u202evsc.csv".encode(): "%E2%80%AEvsc.csv",
    "line\u2028.csv".encode(): "line%E2%80%A8.csv",
    "\u00fcber 100%.csv".encode(): "\u00fcber 100%.csv",
    b"-rf.csv": "-rf.csv",
    b"<script>.csv": "<script>.csv",
    "\U0001f600.csv".encode(): "\U0001f600.csv",
}


def test_names_that_no_text_should_hold_are_stored_as_escapes_and_ordinary_ones_as_they_are(tmp_path):
    made(tmp_path, *(b"output/" + name for name in ODD_NAMES))

    matched = match(tmp_path, spec("output/*.csv"))

    assert {file.path[7:]: file.stored_name[7:] for file in matched.files} == ODD_NAMES
    assert "\n" not in reasons(matched)


@given(st.binary(min_size=1))
def test_any_bytes_give_a_name_that_json_and_a_database_can_hold(path):
    name = stored_name(path)

    assert json.loads(json.dumps(name)) == name
    assert name.encode("utf-8").decode() == name
    assert name.isprintable() or not any(ord(character) < 32 or ord(character) == 127 for character in name)


def test_two_files_that_would_be_stored_under_one_name_are_not_mixed_up(tmp_path):
    made(tmp_path, b"a\n.csv", b"a%0A.csv")

    matched = match(tmp_path, spec("*.csv"))

    assert [file.path for file in matched.files] == [b"a%0A.csv"]
    assert "another output has" in reasons(matched)


def test_files_made_by_the_job_that_resemble_the_pattern_are_suggested_and_its_code_is_not(tmp_path):
    made(tmp_path, "analysis/table.csv", "output/input.csv")
    made(tmp_path / "later", "marker")
    prepared_at_ns = (tmp_path / "later" / "marker").stat().st_ctime_ns
    time_moves_on(tmp_path, prepared_at_ns)
    made(tmp_path, "output/tables.csv", "output/deep/er/unrelated.bin")

    hints = near_files(tmp_path, ["output/table.csv", "zzz"], prepared_at_ns)

    assert hints == {"output/table.csv": ["output/tables.csv"]}


def time_moves_on(folder: Path, past_ns: int) -> None:
    """Until the file system's clock, which ticks in milliseconds, shows a later time."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        (folder / "clock").write_text("x")
        if (folder / "clock").stat().st_ctime_ns > past_ns:
            (folder / "clock").unlink()
            return
    raise AssertionError("the file system's clock stands still")


def test_hints_are_bounded_and_harmless_whatever_the_job_left(tmp_path):
    made(tmp_path, *(f"output/table_{number}.csv" for number in range(50)), b"output/\x1btable.csv")
    (tmp_path / "loop").symlink_to(".")

    hints = near_files(tmp_path, ["output/table.csv"], 0)

    assert len(hints["output/table.csv"]) == 5
    assert "\x1b" not in str(hints)

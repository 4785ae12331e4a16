"""Rules that hold for every type of file: size, type, content that is not what its name says, failing closed."""

import gzip
import io
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner import disclosure
from runner.disclosure import Limits, Rule, Verdict, check

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def verdict(content: bytes, path: str = "output/table.csv", limits: Limits | None = None) -> Verdict:
    return check(io.BytesIO(content), path, len(content), limits or Limits())


def test_a_file_at_the_size_limit_passes_and_one_byte_more_does_not():
    limits = Limits(max_file_size=20)

    assert verdict(b"a,b\n1,2\n" + b"3,4\n" * 3, limits=limits).allowed
    refused = verdict(b"a,b\n1,2\n" + b"3,4\n" * 3 + b"\n", limits=limits)

    assert (refused.allowed, refused.rule) == (False, Rule.SIZE)
    assert "21 bytes" in refused.message and "20" in refused.message


@pytest.mark.parametrize(
    "path",
    [
        "output/table.csv.gz", "output/input.feather", "output/input.arrow", "output/data.dta", "output/model.rds",
        "output/report.pdf", "output/report.docx", "output/table.xlsx", "output/table.csv.bak", "output/table.csv ",
        "output/table", "output/.csv", "output/table.", "output/a.csv/table", "output/table.tsv", "output/page.htm", "",
        "output/x.\x1b[31mred", "output/\udcff.dat", "output/a\nb.xyz",
    ],
)  # fmt: skip
def test_a_type_that_is_not_on_the_list_is_refused(path):
    refused = verdict(b"a,b\n1,2\n", path)

    assert (refused.allowed, refused.rule) == (False, Rule.TYPE)
    assert "\x1b" not in refused.message and "\n" not in refused.message


@pytest.mark.parametrize("path", ["output/table.CSV", "output/Table.Csv", "table.csv", "output/a.b.c.csv", "a b/ü.csv"])
def test_a_type_on_the_list_is_known_in_any_case_and_place(path):
    assert verdict(b"a,b\n1,2\n", path).allowed


def test_a_site_may_allow_fewer_types_but_none_that_nobody_can_check():
    limits = Limits(file_types=(".CSV", ".pdf"))

    assert verdict(b"a,b\n", "a.csv", limits).allowed
    assert verdict(b"%PDF-1.7", "a.pdf", limits).rule == Rule.TYPE
    assert verdict(b"hello", "a.txt", limits).rule == Rule.TYPE


FOREIGN = {
    "zip or Office": b"PK\x03\x04\x14\x00\x06\x00",
    "gzip": gzip.compress(b"a,b\n1,2\n"),
    "bzip2": b"BZh91AY&SY",
    "xz": b"\xfd7zXZ\x00\x00",
    "zstd": b"\x28\xb5\x2f\xfd\x04",
    "PDF": b"%PDF-1.7\n1 0 obj\n",
    "PostScript": b"%!PS-Adobe-3.0\n",
    "old Office": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
    "RTF": b"{\\rtf1\\ansi hello}",
    "Arrow": b"ARROW1\x00\x00",
    "Feather": b"FEA1\x00\x00\x00\x00",
    "Parquet": b"PAR1\x15\x04\x15",
    "R text data": b"A\n3\n262657\n197888\n5\nUTF-8\n",
    "R workspace": b"RDX3\nX\n\x00\x00",
    "Stata": b"<stata_dta><header><release>118</release>",
    "old Stata": b"\x72\x02\x01\x00\x10\x00",
    "SAS": b"\x00" * 12 + b"\xc2\xea\x81\x60",
    "SAS transport": b"HEADER RECORD*******LIBRARY HEADER RECORD!!!!!!!",
    "SPSS": b"$FL2@(#) SPSS DATA FILE",
    "SQLite": b"SQLite format 3\x00\x10\x00",
    "DuckDB": b"12345678DUCK\x40\x00\x00",
    "HDF5": b"\x89HDF\r\n\x1a\n",
    "pickle": b"\x80\x04\x95\x10",
    "PNG": PNG_SIGNATURE,
    "JPEG": b"\xff\xd8\xff\xe0",
    "GIF": b"GIF89a\x01\x00",
}


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("extension", [".csv", ".txt", ".log", ".md", ".html", ".json"])
def test_data_and_containers_are_refused_under_the_name_of_a_text(name, extension):
    refused = verdict(FOREIGN[name] + b"\nmore\n", f"output/file{extension}")

    assert (refused.allowed, refused.rule) == (False, Rule.CONTENT_TYPE)
    assert "highly_sensitive" in refused.message


@pytest.mark.parametrize(
    "header", ["PARENT,n", "ORCID,n", "PAR1,n", "BZh,n", "A\n1\n23", "animal_,DUCK", "RDX,n", "X\n1"]
)
def test_a_header_that_begins_like_a_signature_is_still_a_header(header):
    assert verdict(header.encode() + b"\n").allowed


@pytest.mark.parametrize("size", [0, 7, 9, 100])
def test_a_file_that_changes_while_it_is_checked_is_refused(size):
    refused = check(io.BytesIO(b"a,b\n1,2\n"), "table.csv", size, Limits())

    assert (refused.allowed, refused.rule) == (False, Rule.UNREADABLE)


def test_the_whole_file_is_checked_wherever_the_caller_had_read_to():
    file = io.BytesIO(b"patient_id,n\n1,2\n")
    file.seek(13)

    assert check(file, "table.csv", 17, Limits()).rule == Rule.IDENTIFIER_COLUMN


def test_a_fault_of_ours_keeps_the_file_inside_and_is_logged(monkeypatch, caplog):
    def broken(*_arguments):
        raise ZeroDivisionError

    monkeypatch.setitem(disclosure._EXAMINERS, ".csv", broken)

    with caplog.at_level(logging.ERROR):
        refused = verdict(b"a,b\n1,2\n")

    assert (refused.allowed, refused.rule) == (False, Rule.UNREADABLE)
    assert "ZeroDivisionError" in caplog.text


def test_a_disk_that_cannot_be_read_decides_nothing():
    class BadDisk(io.BytesIO):
        def read(self, *_size):
            raise OSError(5, "Input/output error")

    with pytest.raises(OSError, match="Input/output"):
        check(BadDisk(), "table.csv", 8, Limits())


@pytest.mark.parametrize("extension", Limits().file_types)
def test_a_message_never_repeats_the_content_or_the_name_of_a_file(extension):
    secret = "1234567890-Jane-Doe"
    refused = verdict(f'"{secret}"x{secret}\n"patient_id",{secret}\n{{'.encode(), f"{secret}{extension}")

    assert not refused.allowed or extension in (".txt", ".log", ".md")
    assert "Jane" not in refused.message and "1234567890" not in refused.message


def test_every_refusal_says_what_to_do():
    refusals = [
        verdict(b"a" * 30, limits=Limits(max_file_size=10)),
        verdict(b"", "a.pdf"),
        verdict(b"PK\x03\x04"),
        verdict(b"caf\xe9"),
        verdict(b"a\n" * 10, limits=Limits(max_csv_rows=5)),
        verdict(b"a,b,c,d,e,f,g\n", limits=Limits(max_csv_rows=5)),
        verdict(b"patient_id\n"),
        verdict(b"<svg><script/></svg>", "a.svg"),
        verdict(b'"a'),
    ]

    assert {refusal.rule for refusal in refusals} == set(Rule) - {Rule.PASSED}
    hints = ("Summarise", "Write", "Save", "save", "Drop")
    assert all(any(hint in refusal.message for hint in hints) for refusal in refusals)


HALF_RIGHT = st.sampled_from(
    [
        b"",
        PNG_SIGNATURE,
        b"\xff\xd8\xff",
        b"\x1f\x8b\x08",
        b"<svg>",
        b"<html>",
        b"{",
        b"[",
        b'"',
        b"\xef\xbb\xbf",
        b"\xff\xfe",
    ]
)


@given(start=HALF_RIGHT, rest=st.binary(max_size=400), extension=st.sampled_from(Limits().file_types))
def test_no_bytes_make_the_check_raise(start, rest, extension):
    content = start + rest

    result = check(io.BytesIO(content), f"file{extension}", len(content), Limits(max_csv_rows=5))

    assert result.allowed == (result.rule == Rule.PASSED)
    assert bool(result.message) != result.allowed


PIECES = st.lists(
    st.sampled_from([*",;\t|\"'\r\n \\<>{}[]:#=-_ab1\u200b\ufeffé", "patient_id", "<tr>", "\ud83d"]), max_size=60
)


@given(pieces=PIECES, extension=st.sampled_from(Limits().file_types))
def test_no_text_makes_the_check_break(pieces, extension):
    content = "".join(pieces).encode("utf-8", "surrogatepass")

    result = check(io.BytesIO(content), f"file{extension}", len(content), Limits(max_csv_rows=5))

    assert "fault in the job runner" not in result.message

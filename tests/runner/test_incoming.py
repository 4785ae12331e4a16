"""Rules of what comes out of a volume, by streams that no engine should send."""

import io
import os
import tarfile
from dataclasses import dataclass

import pytest

from jobs.errors import Stopped, Unavailable
from runner.matching import pattern_tree
from runner.workspaces.incoming import ArrivalBroken, fetch, listed
from tests.publication import never


@dataclass
class Found:
    kind: str
    target: str = ""


class Blocks:
    """A stream in blocks of some length."""

    def __init__(self, content: bytes, length: int = 1000):
        self._content, self._length, self.is_closed = content, length, False

    def __iter__(self):
        for start in range(0, len(self._content), self._length):
            yield self._content[start : start + self._length]

    def close(self) -> None:
        self.is_closed = True


class Volume:
    """Whose folder `output` is sent as it stands here."""

    def __init__(self, sent: bytes, kind: str = "folder"):
        self.stream, self._kind = Blocks(sent), kind

    def look(self, path: bytes) -> Found | None:
        return Found(self._kind) if path == b"output" else None

    def read(self, path: bytes) -> Blocks:
        return self.stream


def archive(*members: tuple[str, bytes | None] | tarfile.TarInfo) -> bytes:
    """None is a folder."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as made:
        for each in members:
            info = each if isinstance(each, tarfile.TarInfo) else tarfile.TarInfo(each[0])
            content = None if isinstance(each, tarfile.TarInfo) else each[1]
            if not isinstance(each, tarfile.TarInfo):
                info.type, info.size = (tarfile.DIRTYPE, 0) if content is None else (tarfile.REGTYPE, len(content))
            made.addfile(info, io.BytesIO(content or b""))
    return stream.getvalue()


WHOLE = archive(("output", None), ("output/a", b"a" * 700), ("output/b", b"\0" * 2048), ("output/c", b"c"))


def fetched(sent: bytes, folder, pattern: str = "output/*", should_stop=never) -> dict[str, bytes]:
    into = folder / "workspace"
    into.mkdir()
    fetch(Volume(sent), pattern_tree({"highly_sensitive": {"x": pattern}}), into, should_stop)
    return {str(path.relative_to(into)): path.read_bytes() for path in into.rglob("*") if path.is_file()}


def test_all_that_the_pattern_reaches_arrives(tmp_path):
    assert fetched(WHOLE, tmp_path) == {"output/a": b"a" * 700, "output/b": b"\0" * 2048, "output/c": b"c"}


END = WHOLE.rstrip(b"\0")


@pytest.mark.parametrize("length", range(0, len(END) + 512, 512))
def test_a_stream_that_stops_anywhere_is_never_taken_for_the_whole(tmp_path, length):
    """Between two files, too, and where the last bytes are a file's own zeros."""
    with pytest.raises(ArrivalBroken):
        fetched(WHOLE[:length], tmp_path)


@pytest.mark.parametrize("words", [b'{"message":"input/output error"}\n', b"x" * 512, b"\0" * 512 + b"x" * 512])
def test_what_an_engine_says_of_its_trouble_at_the_end_is_no_end(tmp_path, words):
    with pytest.raises(ArrivalBroken):
        fetched(WHOLE[: len(END) - len(END) % 512 + 512] + words, tmp_path)


def test_a_stream_may_be_filled_up_with_zeros(tmp_path):
    assert len(fetched(WHOLE + bytes(10240), tmp_path)) == 3


@pytest.mark.parametrize("name", ["other/a", "../a", "output/../../a", "output//a", "outputs/a", "output/./a", ".."])
def test_a_name_that_was_not_asked_for_is_refused_and_nothing_is_written(tmp_path, name):
    with pytest.raises(ArrivalBroken):
        fetched(archive(("output", None), (name, b"x")), tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["workdir", "workspace"]  # the former is every test's
    assert not (tmp_path / "workspace" / "output" / "a").exists()


def link(name: str, target: str, kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def test_nothing_is_written_through_a_link_that_was_sent(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    sent = archive(("output", None), link("output/x", str(outside), tarfile.SYMTYPE), ("output/x/file", b"x"))
    fetched(sent, tmp_path, "output/*/*")
    assert os.listdir(outside) == []


def test_a_file_that_is_sent_twice_is_trouble(tmp_path):
    with pytest.raises((Unavailable, FileExistsError)):
        fetched(archive(("output", None), ("output/a", b"1"), ("output/a", b"2")), tmp_path)


def with_header(**header: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo("output/x")
    info.pax_headers = header
    return info


@pytest.mark.parametrize(
    "member",
    [
        ("output/a", b"again"),
        ("output/d", b"a file"),
        with_header(path="output/a\0b"),
        with_header(mtime="nan"),
        with_header(size="-512"),
        with_header(**{"GNU.sparse.map": "0,1,7", "GNU.sparse.size": "9"}),
        with_header(**{"GNU.sparse.map": "0,1,9999999999999,1", "GNU.sparse.size": str(2**50)}),
    ],
    ids=["a name twice", "a folder's name", "a NUL", "no time", "no size", "no map", "a petabyte of nothing"],
)
def test_what_no_volume_can_hold_is_trouble_of_the_engine_and_tried_again(tmp_path, member):
    with pytest.raises(ArrivalBroken):
        fetched(archive(("output", None), ("output/a", b"a"), ("output/d", None), member), tmp_path)


def test_a_folder_under_two_names_is_trouble(tmp_path):
    with pytest.raises(ArrivalBroken, match="two names"):
        fetched(archive(("output", None), ("output/d", None), link("output/h", "output/d", tarfile.LNKTYPE)), tmp_path)


@pytest.mark.parametrize("target", ["output/nowhere", "output/a", "output/deep/x"])
def test_two_names_of_one_file_are_known_as_such(tmp_path, target):
    sent = archive(("output", None), ("output/a", b"1"), link("output/b", target, tarfile.LNKTYPE))
    fetched(sent, tmp_path)
    assert (tmp_path / "workspace/output/b").stat().st_nlink == 2


def test_a_hard_link_cannot_lead_out_of_the_volume(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("patients")
    with pytest.raises(ArrivalBroken):
        fetched(archive(("output", None), link("output/b", f"../../{secret.name}", tarfile.LNKTYPE)), tmp_path)


def test_times_that_no_file_system_holds_are_no_trouble(tmp_path):
    members = []
    for number, changed_at in enumerate((-(2**40), 0, 2**45, 1e300)):
        info = tarfile.TarInfo(f"output/{number}")
        info.pax_headers = {"mtime": str(changed_at)}
        members.append(info)
    assert len(fetched(archive(("output", None), *members), tmp_path)) == 4


def test_a_stop_is_heard_in_the_middle_of_a_file_and_the_stream_is_let_go(tmp_path):
    volume = Volume(archive(("output", None), ("output/big", bytes(3_000_000))))
    (tmp_path / "workspace").mkdir()
    asked = iter([False] * 6)
    with pytest.raises(Stopped):
        fetch(
            volume,
            pattern_tree({"highly_sensitive": {"x": "output/*"}}),
            tmp_path / "workspace",
            lambda: next(asked, True),
        )
    assert volume.stream.is_closed


def test_a_list_ends_when_it_is_enough():
    files = [(f"workspace/{number}", bytes(1000)) for number in range(100)]
    volume = Volume(archive(("workspace", None), *files))
    assert len(list(listed(volume, lambda read: read >= 5000))) == 5
    assert volume.stream.is_closed


def test_a_list_does_not_read_past_a_file_of_a_terabyte():
    info = tarfile.TarInfo("workspace/huge")
    info.size = 2**40

    class Endless(Blocks):
        def __iter__(self):
            yield archive(("workspace", None))[:512] + info.tobuf()
            raise AssertionError("its content was asked for")

    volume = Volume(b"")
    volume.stream = Endless(b"")
    assert [path for path, _ in listed(volume, lambda read: read > 1000)] == [b"huge"]

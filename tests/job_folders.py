"""Job folders for tests: code as git's archive gives it, outputs that are to be inputs, what is found afterwards."""

import io
import tarfile

from jobs import storage
from jobs.models import JobOutput
from jobs.states import StatusCode
from runner.workspaces import folder
from tests.factories import make_job
from tests.publication import never


def tar(*members: tuple) -> io.BytesIO:
    """(name, content) is a file; a third item is a dictionary of TarInfo attributes."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content, *attributes in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for key, value in (attributes[0] if attributes else {}).items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(content))
    stream.seek(0)
    return stream


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tuple:
    return (name, b"", {"type": kind, "linkname": target})


CODE = (
    ("analysis/", b"", {"type": tarfile.DIRTYPE}),
    ("analysis/table.py", b"print()", {"mode": 0o755}),
    ("a.txt", b"a"),
)


def prepare(job, *members, wanted=None, should_stop=never) -> list[str]:
    rows = JobOutput.objects.none() if wanted is None else wanted
    return folder.prepare(job, tar(*(members or CODE)), rows, should_stop=should_stop)


def stored(path: str, content: bytes) -> JobOutput:
    """An output that the action `make_rows` has published in the workspace."""
    file = storage.high_privacy_workspace("study") / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    status = file.stat()
    job = make_job(StatusCode.SUCCEEDED, action=f"make_{path.replace('/', '_')}")
    return JobOutput.objects.create(
        job=job, path=path, level="highly_sensitive", size=status.st_size, modified_ns=status.st_mtime_ns
    )


def found(job) -> dict[str, bytes]:
    root = storage.job_workspace(job)
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}

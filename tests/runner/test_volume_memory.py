"""The volume's streams take the same memory however large the files are: measured in a process of its own."""

import os
import subprocess
import sys

import pytest

from jobs import storage
from jobs.levels import HIGHLY_SENSITIVE
from tests import engine
from tests.publication import job_with
from tests.site import ROOT
from tests.workspace_rigs import workspace_rig

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.needs_docker, pytest.mark.slow_test]

MEGABYTES = 300
_PROGRAM = """
import resource, sys, django, pathlib
django.setup()
from runner.executors.docker import DockerExecutor
from runner.matching import pattern_tree
from runner.workspaces.code import Member
from runner.workspaces.incoming import fetch
from runner.workspaces.outgoing import Outgoing
address, volume, image, folder, megabytes = sys.argv[1:]
volumes = DockerExecutor("memory-test", uid=10001, gid=10001, base_url=address).volumes
volumes.make(volume, "job")
size = int(megabytes) * 1024 * 1024
piece = b"x" * 1024 * 1024
code = [Member("output", True), Member("output/big", False, 0o644, size, (piece for _ in range(int(megabytes))))]
with volumes.opened(volume, image) as opened:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    opened.put(Outgoing(10001, 10001, 0).pieces(code, [], [], [], lambda: False))
    fetch(opened, pattern_tree({"highly_sensitive": {"x": "output/*"}}), pathlib.Path(folder), lambda: False)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert (pathlib.Path(folder) / "output/big").stat().st_size == size
volumes.remove(volume)
print((after - before) / 1024)
"""


def test_a_file_of_any_size_goes_in_and_out_in_a_few_megabytes(tmp_path):
    name = f"jobrunner-memory-{os.getpid()}"
    (tmp_path / "into").mkdir()
    arguments = [engine.BASE_URL, name, engine.tiny_image(), str(tmp_path / "into"), str(MEGABYTES)]
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *arguments],
        cwd=ROOT,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 32, f"{done.stdout} MiB more for {MEGABYTES} MiB"


def test_twenty_thousand_files_that_no_pattern_reaches_are_read_past(tmp_path):
    job = job_with(HIGHLY_SENSITIVE, "output/*.csv", image="python:v2")
    with workspace_rig("volume") as rig:
        rig.prepare(job)
        rig.run(job, "cd output; mkdir many; cd many; seq 20000 | xargs touch; echo 1 > ../one.csv")
        _, plan = rig.collect(job)
    assert [entry.path for entry in plan.entries] == ["output/one.csv"]
    fetched = storage.high_privacy_workspace("study") / ".publishing" / f"{job.container_name}.fetched"
    assert sorted(path.name for path in fetched.rglob("*")) == ["one.csv", "output", "workspace"]

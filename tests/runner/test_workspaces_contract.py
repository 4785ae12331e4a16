"""What a job finds in its workspace and what is made of what it leaves there, sentence by sentence, for both kinds."""

import io
import os
import tarfile

import pytest

from jobs import storage
from jobs.errors import JobError, Stopped
from jobs.inputs import inputs_of
from jobs.levels import HIGHLY_SENSITIVE
from jobs.models import JobOutput
from runner import outputs
from runner.workspaces.code import CodeUnreadable
from runner.workspaces.inputs import InputChanged
from tests import engine
from tests.job_folders import CODE, link, stored, tar
from tests.private_podman import make_images
from tests.publication import job_with
from tests.workspace_rigs import WorkspaceRig, workspace_rig

pytestmark = pytest.mark.django_db
DOCKERS = [pytest.param(kind, marks=pytest.mark.needs_docker) for kind in ("folder", "volume")]


@pytest.fixture(params=DOCKERS)
def rig(request, settings):
    """Folder and volume on Docker."""
    yield from made(request.param, engine.BASE_URL, settings)


@pytest.fixture(params=[*DOCKERS, pytest.param("podman", marks=pytest.mark.needs_podman)])
def any_rig(request, settings):
    """And a volume on Podman, whose archive API has ways of its own."""
    if request.param != "podman":
        yield from made(request.param, engine.BASE_URL, settings)
        return
    podman = request.getfixturevalue("podman")
    make_images(podman, "jobrunner-demo/python:v2")
    yield from made("volume", podman.address, settings)


def made(kind: str, address: str, settings):
    if os.geteuid() == 0:
        settings.JOB_USER_ID, settings.JOB_GROUP_ID = 10001, 10001  # as the rig's executor has them
    with workspace_rig(kind, address) as rig:
        yield rig


def job_that_promises(*patterns: str, **columns):
    return job_with(HIGHLY_SENSITIVE, *patterns, image="python:v2", **columns)


def fetched(rig: WorkspaceRig, job) -> dict[str, bytes]:
    """Name -> content of what is matched and staged."""
    matched, plan = rig.collect(job)
    assert plan is not None, (matched.unmatched, matched.refused)
    staging = storage.high_privacy_workspace("study") / ".publishing" / job.container_name
    return {entry.path: (staging / str(number)).read_bytes() for number, entry in enumerate(plan.entries)}


# --- what the job finds


def test_it_finds_code_inputs_and_folders_for_its_outputs(rig):
    stored("output/rows.csv", b"rows")
    job = job_that_promises("results/deep/x.csv", "out*/y.csv")

    notes = rig.prepare(job, wanted=JobOutput.objects.current())

    assert notes == []
    assert rig.files(job) == {"analysis/table.py": b"print()", "a.txt": b"a", "output/rows.csv": b"rows"}
    assert rig.found(job)["results/deep"][0].isdir()


def test_everything_belongs_to_the_user_of_the_container_who_may_write_it(any_rig, settings):
    stored("output/rows.csv", b"rows")
    job = job_that_promises()

    any_rig.prepare(job, wanted=JobOutput.objects.current())

    owner = (settings.JOB_USER_ID, settings.JOB_GROUP_ID)
    for path, (member, _) in any_rig.found(job).items():
        # Whose it is Podman's archive does not tell: it names the user of the container that is asked.
        assert (member.uid, member.gid) == owner or any_rig.address != engine.BASE_URL, path
        assert member.mode & 0o200, path
    assert any_rig.found(job)["analysis/table.py"][0].mode & 0o100
    assert not any_rig.found(job)["a.txt"][0].mode & 0o111
    everywhere = "for f in . analysis output; do touch $f/new || exit 1; done; echo x >> output/rows.csv; echo fine"
    assert any_rig.run(job, everywhere) == "fine\n"


def test_a_second_try_starts_from_nothing(any_rig):
    job = job_that_promises()
    any_rig.prepare(job, ("left over", b"x"), *CODE)

    any_rig.prepare(job)

    assert any_rig.files(job) == {"analysis/table.py": b"print()", "a.txt": b"a"}


def test_a_link_of_the_repository_becomes_a_plain_file_and_is_noted(rig):
    job = job_that_promises("output/x.csv")

    notes = rig.prepare(job, link("output", "/etc"), link("etc", "/etc"), ("a.txt", b"a"))

    assert rig.files(job) == {"output": b"/etc", "etc": b"/etc", "a.txt": b"a"}
    assert "output is a symbolic link in the repository" in notes[0]


def test_names_of_any_bytes_arrive_as_they_are(any_rig):
    names = ["ü/ß.txt", os.fsdecode(b"bad\xff/\xfe"), "a b/\ttab", "deep/" * 30 + "x", "n" * 200]
    job = job_that_promises()

    any_rig.prepare(job, *((name, name.encode("utf-8", "surrogateescape")) for name in names))

    assert any_rig.files(job) == {name: name.encode("utf-8", "surrogateescape") for name in names}


@pytest.mark.parametrize("name", ["../escape", "/absolute", "a/../../escape", "./a", "a//b"])
def test_code_that_reaches_out_of_its_folder_is_refused(rig, name):
    with pytest.raises(JobError, match="lies outside its folder"):
        rig.prepare(job_that_promises(), (name, b"x"))


@pytest.mark.parametrize(
    "members",
    [
        (("a", b"x"), ("a/b", b"x")),
        (("a/b", b"x"), ("a", b"x")),
        (("a", b"x"), ("a/", b"", {"type": tarfile.DIRTYPE})),
    ],
)
def test_code_that_has_a_file_and_a_folder_of_one_name_is_refused(rig, members):
    with pytest.raises(JobError, match="both as a file and as a folder"):
        rig.prepare(job_that_promises(), *members)


def test_code_that_holds_a_device_is_refused(rig):
    with pytest.raises(JobError, match="neither a file nor a folder"):
        rig.prepare(job_that_promises(), link("null", "", tarfile.CHRTYPE))


def test_code_that_breaks_off_is_fetched_again(rig):
    job = job_that_promises()
    rig.prepare(job)
    whole = tar(("big", os.urandom(100_000))).getvalue()

    with pytest.raises(CodeUnreadable):
        rig.workspaces.prepare(job, io.BytesIO(whole[:60_000]), JobOutput.objects.none(), should_stop=lambda: False)

    rig.prepare(job)
    assert rig.files(job) == {"analysis/table.py": b"print()", "a.txt": b"a"}


def test_a_stop_is_heard_in_the_middle_and_the_next_try_is_whole(rig):
    job = job_that_promises()
    asked = iter([False] * 5)

    with pytest.raises(Stopped):
        rig.prepare(job, *((f"{number}", bytes(1000)) for number in range(50)), should_stop=lambda: next(asked, True))

    rig.prepare(job)
    assert rig.files(job) == {"analysis/table.py": b"print()", "a.txt": b"a"}


@pytest.mark.parametrize(
    ("code", "wanted", "kept"),
    [
        ((("output/rows.csv", b"code"),), "output/rows.csv", {}),
        ((("output/rows.csv/x", b"code"), ("output/y", b"y")), "output/rows.csv", {"output/y": b"y"}),
        ((("output", b"code"),), "output/rows.csv", {}),
        ((("output", b"code"), ("outputs", b"other")), "output/deep/rows.csv", {"outputs": b"other"}),
        ((("output/", b"", {"type": tarfile.DIRTYPE}),), "output", {}),
    ],
)
def test_an_input_takes_the_place_of_whatever_the_code_has_there_and_that_is_noted(rig, code, wanted, kept):
    stored(wanted, b"rows")
    job = job_that_promises()

    notes = rig.prepare(job, *code, wanted=JobOutput.objects.current())

    assert rig.files(job) == {wanted: b"rows", **kept}
    assert notes == [f"{wanted} of the repository was replaced by the output of the same name of an earlier action."]


def test_which_inputs_it_got_is_written_down(rig):
    stored("output/rows.csv", b"rows")
    job = job_that_promises(needs=["make_output_rows.csv"])

    rig.prepare(job, wanted=JobOutput.objects.current())

    assert [each.path for each in inputs_of(job, 10).files] == ["output/rows.csv"]


def test_an_input_that_was_changed_by_hand_is_refused(rig):
    row = stored("output/rows.csv", b"rows")
    (storage.high_privacy_workspace("study") / row.path).write_bytes(b"longer than before")

    with pytest.raises(JobError, match="An input has been changed"):
        rig.prepare(job_that_promises(), wanted=JobOutput.objects.current())


def test_an_input_that_was_published_over_meanwhile_is_no_fault_of_the_study(rig):
    row = stored("output/rows.csv", b"rows")
    wanted = JobOutput.objects.filter(pk=row.pk)
    (storage.high_privacy_workspace("study") / row.path).write_bytes(b"longer than before")
    row.is_current = False
    row.save()

    with pytest.raises(InputChanged, match="the preparation starts again"):
        rig.prepare(job_that_promises(), wanted=wanted)


def test_a_large_input_arrives_whole(rig):
    content = os.urandom(1024) * 5000
    stored("output/rows.bin", content)
    job = job_that_promises()

    rig.prepare(job, wanted=JobOutput.objects.current())

    assert rig.files(job)["output/rows.bin"] == content


# --- what is made of what it leaves


def test_the_promised_files_are_matched_and_staged(any_rig):
    job = job_that_promises("output/a.csv", "output/*/deep*.csv", "*.log", "results/b/c.txt")
    any_rig.prepare(job)

    any_rig.run(
        job,
        "mkdir -p output/x output/y results/b; echo 1 > output/a.csv; echo 2 > output/x/deep1.csv;"
        "echo 3 > output/y/deep2.csv; echo 4 > output/y/other.csv; echo 5 > main.log; echo 6 > results/b/c.txt;"
        "echo 7 > output/deep.csv; : > output/x/deep-empty.csv",
    )

    assert fetched(any_rig, job) == {
        "output/a.csv": b"1\n",
        "output/x/deep1.csv": b"2\n",
        "output/y/deep2.csv": b"3\n",
        "main.log": b"5\n",
        "results/b/c.txt": b"6\n",
        "output/x/deep-empty.csv": b"",
    }


def test_what_is_no_plain_file_is_refused_by_name(any_rig):
    job = job_that_promises("output/*", "link", "folder", "pipe", "fine.csv")
    any_rig.prepare(job)

    any_rig.run(
        job,
        "cd output; ln -s /etc/passwd link; mkfifo pipe; echo x > one; ln one two; ln -s /etc etc; echo y > fine;"
        "cd ..; echo z > fine.csv; ln -s output/fine link; mkdir folder; mkfifo pipe",
    )
    matched, plan = any_rig.collect(job)

    assert [str(each) for each in matched.refused] == [
        "folder is a folder; only files can be outputs",
        "link is a symbolic link",
        "output/etc is a symbolic link",
        "output/link is a symbolic link",
        "output/one is a hard link: the same file exists under another name",
        "output/pipe is a named pipe (FIFO)",
        "output/two is a hard link: the same file exists under another name",
        "pipe is a named pipe (FIFO)",
    ]
    assert [file.path for file in matched.files] == [b"fine.csv", b"output/fine"]
    assert matched.unmatched == ["link", "folder", "pipe"] and plan is None


def test_nothing_behind_a_link_is_reached(any_rig):
    job = job_that_promises("output/passwd", "output/*.conf", "other/*/passwd")
    any_rig.prepare(job, ("a.txt", b"a"))

    any_rig.run(job, "rmdir output other; ln -s /etc output; mkdir other; ln -s /etc other/etc")
    matched, plan = any_rig.collect(job)

    assert matched.files == [] and plan is None
    named = {"other/etc is a symbolic link"}
    if any_rig.address == engine.BASE_URL:  # a link that leads out of the volume is not there for Podman's archive
        named |= {"output is a symbolic link"}
    assert {str(each) for each in matched.refused} == named


def test_names_of_any_bytes_are_stored_as_ever(rig):
    job = job_that_promises("output/*")
    rig.prepare(job)

    rig.run(
        job,
        r"""cd output; printf 1 > "$(printf 'bad\377')"; printf 2 > ü; printf 3 > "$(printf 'a\nb')"; printf 4 > -rf""",
    )

    assert fetched(rig, job) == {"output/bad%FF": b"1", "output/ü": b"2", "output/a%0Ab": b"3", "output/-rf": b"4"}


def test_a_file_that_is_almost_nothing_but_a_hole_takes_almost_no_room(rig):
    job = job_that_promises("output/*")
    rig.prepare(job)

    rig.run(job, "truncate -s 300M output/sparse; echo end >> output/sparse")
    _, plan = rig.collect(job)

    staged = storage.high_privacy_workspace("study") / ".publishing" / job.container_name / "0"
    assert staged.stat().st_size == plan.entries[0].size == 300 * 1024**2 + 4
    assert staged.stat().st_blocks * 512 < 2 * 1024**2


def test_near_misses_are_named_but_neither_code_nor_inputs(any_rig):
    stored("output/tabel.csv", b"rows")
    job = job_that_promises("output/table.csv")
    any_rig.prepare(job, ("output/table.cvs", b"code"), wanted=JobOutput.objects.current())

    any_rig.run(job, "echo 1 > output/tables.csv")
    matched, plan = any_rig.collect(job)

    assert plan is None
    assert matched.near == {"output/table.csv": ["output/tables.csv"]}


def test_collecting_can_be_stopped_and_done_again(rig):
    job = job_that_promises("output/*")
    rig.prepare(job)
    rig.run(job, "for i in $(seq 20); do echo $i > output/$i; done")
    asked = iter([False] * 12)

    with pytest.raises(Stopped):
        rig.collect(job, should_stop=lambda: next(asked, True))

    assert len(fetched(rig, job)) == 20
    assert len(fetched(rig, job)) == 20, "as after a kill before the status was written"


def test_nothing_is_left_after_the_job_s_end(any_rig):
    job = job_that_promises("output/*")
    any_rig.prepare(job)
    any_rig.run(job, "echo 1 > output/1")
    any_rig.collect(job)
    assert any_rig.workspaces.is_there(job)

    any_rig.executor.remove(job.container_name)
    outputs.forget(job, any_rig.workspaces)
    assert any_rig.workspaces.remove(job) == []

    assert not any_rig.workspaces.is_there(job)
    assert not (storage.high_privacy_workspace("study") / ".publishing").exists()
    assert not storage.job_folder(job).exists()

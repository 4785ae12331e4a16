"""Outputs that no action makes any more go when somebody asks, released copies first; nothing else ever does."""

import json

import pytest

from jobs import storage
from jobs.models import AuditEntry, JobOutput, Who
from jobs.reasons import NoReason
from runner import pruning
from runner.pruning import Busy, outdated, prune
from runner.stored_folder import StoredFolder
from runner.verifying import verify
from runner.workspaces.files import StorageUnavailable
from tests.console import Terminal
from tests.publication import files_in, high, make_publisher, manifest_of, medium, publish

pytestmark = pytest.mark.django_db(transaction=True)

OLIVE = Who("olive", AuditEntry.Via.COMMAND)
SPEC = {"highly_sensitive": {"rows": "output/*.csv"}, "moderately_sensitive": {"table": "tables/*.csv"}}
FIRST = {"output/a.csv": b"1", "output/b.csv": b"22", "tables/x.csv": b"g,n\na,10\n", "tables/y.csv": b"g,n\nb,10\n"}
SECOND = {"output/a.csv": b"333", "tables/x.csv": b"g,n\na,20\n"}
OUTDATED = ["output/b.csv", "tables/y.csv"]


@pytest.fixture
def twice() -> None:
    """The second run of the action no longer makes two of its four outputs."""
    publish(make_publisher(action="make", output_spec=SPEC), FIRST)
    publish(make_publisher(action="make", output_spec=SPEC), SECOND)


def paths() -> list[str]:
    return [each.path for each in outdated("study")]


def test_a_manifest_that_cannot_be_read_is_left_as_it_is(twice):
    storage.manifest(high()).write_text("{broken")
    before = files_in(high())
    with pytest.raises(Busy, match="cannot be read"):
        outdated("study")
    assert files_in(high()) == before


def test_what_the_action_no_longer_makes_is_deleted_with_its_released_copy(twice):
    assert paths() == OUTDATED and medium("tables/y.csv").exists()
    gone = prune("study", OUTDATED, OLIVE, "disk is full")
    assert [each.path for each in gone] == OUTDATED
    assert not high("output/b.csv").exists() and not high("tables/y.csv").exists()
    assert not medium("tables/y.csv").exists()
    assert set(manifest_of(high())["outputs"]) == set(manifest_of(high())["files"]) == set(SECOND)
    assert set(manifest_of(medium())["outputs"]) == {"tables/x.csv"}
    assert paths() == [] and verify("study").findings == []
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.verb, entry.object_kind, entry.object_id) == ("olive", "remove", "outputs", "study")
    assert entry.reason == "disk is full" and "2 out of date" in entry.before and ".csv" not in str(vars(entry))


def test_what_is_told_of_each(twice):
    first = outdated("study")[0]
    assert (first.action, first.level, first.size) == ("make", "highly_sensitive", 2) and first.at is not None


def test_current_outputs_are_never_deleted_whoever_asks(twice):
    before = files_in(high()) | files_in(medium())
    assert prune("study", list(SECOND), OLIVE, "x") == []
    assert files_in(high()) | files_in(medium()) == before and not AuditEntry.objects.exists()


def test_what_the_database_calls_current_is_kept_whatever_the_manifest_says(twice):
    JobOutput.objects.filter(path="output/b.csv").update(is_current=True)
    assert paths() == ["tables/y.csv"]


def test_an_output_that_came_back_meanwhile_is_kept(twice):
    asked = paths()
    publish(make_publisher(action="make", output_spec=SPEC), FIRST)
    assert prune("study", asked, OLIVE, "x") == [] and high("output/b.csv").read_bytes() == b"22"


def test_a_note_of_what_was_kept_back_goes_with_it(settings):
    settings.LEVEL4_MAX_CSV_ROWS = 1
    big = {**FIRST, "tables/y.csv": b"g,n\nb,10\nc,20\nd,30\n"}
    publish(make_publisher(action="make", output_spec=SPEC), big)
    publish(make_publisher(action="make", output_spec=SPEC), SECOND)
    assert medium("tables/y.csv.txt").exists()
    prune("study", paths(), OLIVE, "x")
    assert not medium("tables/y.csv.txt").exists() and verify("study").findings == []


def test_while_outputs_are_half_stored_nothing_is_deleted(twice):
    plan = high() / ".publishing" / "jobrunner-x-1"
    plan.mkdir(parents=True)
    (plan / "plan.json").write_bytes(b"{}")
    with pytest.raises(Busy, match="half stored"):
        prune("study", OUTDATED, OLIVE, "x")
    assert high("output/b.csv").exists() and medium("tables/y.csv").exists()


def test_while_a_storage_is_not_mounted_nothing_is_deleted(twice, tmp_path):
    medium().rename(tmp_path / "elsewhere")
    with pytest.raises(StorageUnavailable):
        prune("study", OUTDATED, OLIVE, "x")
    assert high("output/b.csv").exists()


def test_without_a_reason_nothing_is_deleted(twice):
    with pytest.raises(NoReason):
        prune("study", OUTDATED, OLIVE, " ")
    assert high("output/b.csv").exists()


@pytest.mark.parametrize("calls", range(8))
def test_killed_anywhere_asking_again_completes_it(twice, monkeypatch, calls):
    """A kill before each change of storage: files first, then the manifest, medium before high."""
    left = [calls]

    def may_die(real):
        def call(*arguments, **options):
            if left[0] == 0:
                left[0] = -1
                raise KeyboardInterrupt
            left[0] -= 1
            return real(*arguments, **options)

        return call

    monkeypatch.setattr(StoredFolder, "remove", may_die(StoredFolder.remove))
    monkeypatch.setattr(pruning, "write_atomically", may_die(pruning.write_atomically))
    monkeypatch.setattr(pruning.asking, "note_removal", may_die(pruning.asking.note_removal))
    try:
        prune("study", OUTDATED, OLIVE, "x")
    except KeyboardInterrupt:
        assert not [path for path in OUTDATED if medium(path).exists() and not high(path).exists()]
        prune("study", OUTDATED, OLIVE, "x")
    assert verify("study").findings == [] and paths() == []
    assert not any(high(path).exists() or medium(path).exists() for path in OUTDATED)


def test_a_workspace_without_a_manifest_gets_none(twice):
    storage.manifest(high()).unlink()
    assert paths() == [] and not storage.manifest(high()).exists()


# The command


@pytest.fixture
def manage(capsys, monkeypatch) -> Terminal:
    return Terminal(capsys, monkeypatch)


def test_the_command_shows_first_and_asks_then(manage, twice):
    called = manage("prune_outputs", "study", "--dry-run")
    assert called.code == 0 and all(path in called.out for path in OUTDATED) and "output/a.csv" not in called.out
    assert high("output/b.csv").exists()
    assert manage("prune_outputs", "study", typed="n\n").refusal == "Nothing was changed."
    called = manage("prune_outputs", "study", typed="y\ndisk is full\n")
    assert called.code == 0 and "2 outputs deleted" in called.err and not high("output/b.csv").exists()
    assert "no output that is out of date" in manage("prune_outputs", "study").out


def test_one_action_s_only_and_as_json(manage, twice):
    assert json.loads(manage("prune_outputs", "study", "--action", "other", "--json").out) == {"outputs": []}
    told = json.loads(manage("prune_outputs", "study", "--reason", "x", "--json").out)["outputs"]
    assert [(each["path"], each["is_deleted"]) for each in told] == [(path, True) for path in OUTDATED]


def test_it_refuses_what_there_is_not_and_tells_who_is_in_the_way(manage, twice):
    assert "There is no workspace ../x" in manage("prune_outputs", "../x").refusal
    plan = high() / ".publishing" / "jobrunner-x-1"
    plan.mkdir(parents=True)
    (plan / "plan.json").write_bytes(b"{}")
    assert "retry_job" in manage("prune_outputs", "study", "--reason", "x").refusal

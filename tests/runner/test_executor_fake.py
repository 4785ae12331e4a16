"""The fake executor's own: what it makes up, and the trouble that tests can have it make."""

import io
import threading
from pathlib import Path

import pytest

from runner import disclosure
from runner.executors.base import ContainerSpec, ExecutorUnavailable, Phase
from runner.executors.fake import FakeExecutor, FakeRun
from tests.site import wait_until


@pytest.fixture
def spec(tmp_path) -> ContainerSpec:
    patterns = ("output/rows.csv", "output/charts/*.svg")
    return ContainerSpec("fake-1", "1", 1, "image:1", ("x",), tmp_path, output_patterns=patterns)


def wait_for(fake: FakeExecutor, spec: ContainerSpec, phase: Phase) -> None:
    wait_until(lambda: fake.status(spec.name).phase is phase, what=f"phase {phase}")


def test_each_promised_output_is_made_unless_told_otherwise(spec, tmp_path):
    fake = FakeExecutor()

    fake.start(spec)
    wait_for(fake, spec, Phase.EXITED)

    made = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*")}
    assert made == {"output/rows.csv", "output/charts/example.svg"}
    assert fake.status(spec.name).exit_code == 0
    assert list(fake.logs(spec.name))


@pytest.mark.parametrize("suffix", ["csv", "svg", "svgz", "html", "json", "png", "txt", "log", "md"])
def test_what_is_made_up_passes_the_disclosure_checks(tmp_path, suffix):
    fake = FakeExecutor()
    spec = ContainerSpec("fake-1", "1", 1, "image:1", ("x",), tmp_path, output_patterns=(f"made.{suffix}",))
    fake.start(spec)
    wait_for(fake, spec, Phase.EXITED)
    content = (tmp_path / f"made.{suffix}").read_bytes()

    verdict = disclosure.check(io.BytesIO(content), f"made.{suffix}", len(content), disclosure.Limits())

    assert verdict.allowed, verdict.message


def test_while_it_is_unavailable_every_verb_says_so_and_a_running_container_runs_on(spec):
    go = threading.Event()
    fake = FakeExecutor(lambda _: FakeRun(until=go))
    fake.start(spec)
    stream = iter(fake.logs(spec.name, follow=True))

    fake.unavailable = "The engine is restarting."

    for verb in (fake.statuses, fake.describe, lambda: fake.stop(spec.name), lambda: next(stream)):
        with pytest.raises(ExecutorUnavailable, match="restarting"):
            verb()
    fake.unavailable = ""
    go.set()
    wait_for(fake, spec, Phase.EXITED)


@pytest.mark.parametrize(
    ("event", "phase", "exit_code"),
    [
        (lambda fake, name: fake.finish(name, 3), Phase.EXITED, 3),
        (lambda fake, name: fake.interrupt(name), Phase.INTERRUPTED, None),
        (lambda fake, name: fake.vanish(name), Phase.ABSENT, None),
    ],
)
def test_what_happens_outside_ends_a_container_before_it_makes_its_files(spec, tmp_path, event, phase, exit_code):
    go = threading.Event()
    fake = FakeExecutor(lambda _: FakeRun(until=go, files={"made": b""}))
    fake.start(spec)

    event(fake, spec.name)
    go.set()

    status = fake.status(spec.name)
    assert (status.phase, status.exit_code) == (phase, exit_code)
    wait_until(lambda: "fake-fake-1" not in {thread.name for thread in threading.enumerate()}, what="the thread's end")
    assert not (tmp_path / "made").exists()


def test_a_run_may_take_its_time_and_run_out_of_memory(spec):
    fake = FakeExecutor(lambda _: FakeRun(seconds=0.05, exit_code=1, out_of_memory=True))

    fake.start(spec)
    assert fake.status(spec.name).phase is Phase.RUNNING
    wait_for(fake, spec, Phase.EXITED)

    status = fake.status(spec.name)
    assert (status.exit_code, status.out_of_memory) == (1, True)
    assert (status.finished_at - status.started_at).total_seconds() >= 0.05


def test_timestamps_of_a_log_only_grow(spec):
    fake = FakeExecutor(lambda _: FakeRun(log=b"line\n" * 1000))
    fake.start(spec)

    stamps = [line.split(b" ")[0] for line in b"".join(fake.logs(spec.name)).splitlines()]

    assert len(set(stamps)) == 1000
    assert stamps == sorted(stamps)


def test_a_workspace_that_is_gone_stays_gone_after_the_container_was_removed(tmp_path):
    folder = tmp_path / "gone"
    go = threading.Event()
    fake = FakeExecutor(lambda _: FakeRun(until=go, files={"made": b""}))
    fake.start(ContainerSpec("fake-1", "1", 1, "image:1", ("x",), Path(folder)))

    fake.remove("fake-1")
    go.set()

    wait_until(lambda: "fake-fake-1" not in {thread.name for thread in threading.enumerate()}, what="the thread's end")
    assert not folder.exists()

"""A container that nothing can be learnt about is left alone after a while, and no other container and no engine is."""

import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from runner.executors.base import (
    ContainerSilent,
    ContainerSpec,
    Executor,
    ExecutorUnavailable,
    ImageMissing,
    Phase,
    Status,
)
from runner.executors.fake import FakeExecutor, FakeRun
from runner.executors.guarded import MOST_SILENCES, GuardedExecutor, Held, InQuarantine
from tests.scripted_engine import INSPECT, LABELS, LIST, answer, container, executor_at, never_answer, scripted_engine

SPEC, OTHER = (ContainerSpec(name, "j", 1, "image:1", ("true",), Path("/workspace")) for name in ("jr-1", "jr-2"))
VERBS = {
    "start": lambda executor: executor.start(SPEC),
    "status": lambda executor: executor.status(SPEC.name),
    "logs": lambda executor: executor.logs(SPEC.name),
    "stop": lambda executor: executor.stop(SPEC.name),
    "remove": lambda executor: executor.remove(SPEC.name),
    "metadata": lambda executor: executor.metadata(SPEC.name),
    "usage": lambda executor: executor.usage(SPEC.name),
}


class CountingExecutor(FakeExecutor):
    """Counts what it is asked about containers, and about itself."""

    def __init__(self) -> None:
        super().__init__(lambda spec: FakeRun(until=threading.Event()))
        self.asked = self.lists = 0

    def statuses(self) -> dict[str, Status]:
        self.lists += 1
        return super().statuses()

    def _answer(self, name: str = "") -> None:
        self.asked += bool(name)
        super()._answer(name)


@pytest.fixture
def engine() -> CountingExecutor:
    engine = CountingExecutor()
    engine.start(SPEC)
    engine.start(OTHER)
    return engine


def ask(executor: Executor, verb: str = "metadata") -> type | None:
    """The kind of trouble that came of it."""
    try:
        VERBS[verb](executor)
    except ExecutorUnavailable as error:
        return type(error)
    return None


def quarantined(engine: FakeExecutor, **options) -> GuardedExecutor:
    executor = GuardedExecutor(engine, **options)
    executor.statuses()
    engine.silent.add(SPEC.name)
    for _ in range(MOST_SILENCES):
        ask(executor)
    assert SPEC.name in executor.held()
    return executor


# What happens one after the other -> whether it ends in quarantine.
STORIES = {
    "one silence": ("silence", False),
    "two silences": ("silence silence", True),
    "two silences with an answer between them": ("silence answer silence", False),
    "two silences of a container and one of another": ("silence other silence", True),
    "silences of an engine that answers nobody": ("outage outage outage", False),
    "two silences with an outage between them": ("silence outage silence", True),
    "trouble of another kind": ("silence refused refused", False),
}


@pytest.mark.parametrize(("story", "is_held"), STORIES.values(), ids=STORIES)
def test_only_silences_in_a_row_from_an_engine_that_answers_lead_to_quarantine(engine, monkeypatch, story, is_held):
    def hang(name: str) -> dict:
        engine.unavailable = "The engine does not answer."
        raise ContainerSilent("no answer")

    executor = GuardedExecutor(engine)
    for event in story.split():
        engine.silent = {"silence": {SPEC.name}, "other": {OTHER.name}}.get(event, set())
        with monkeypatch.context() as patch:
            if event == "outage":
                patch.setattr(engine, "metadata", hang)
            engine.unavailable = "It is busy." if event == "refused" else ""
            if event == "other":
                with pytest.raises(ContainerSilent):
                    executor.metadata(OTHER.name)
            else:
                ask(executor)
    assert set(executor.held()) == ({SPEC.name} if is_held else set())


@pytest.mark.parametrize("verb", VERBS)
def test_whatever_is_asked_about_a_container_may_show_that_it_hangs(engine, verb):
    executor = GuardedExecutor(engine)
    engine.silent.add(SPEC.name)
    assert [ask(executor, verb) for _ in range(MOST_SILENCES)] == [ContainerSilent, InQuarantine]


@pytest.mark.parametrize("verb", VERBS)
def test_nothing_is_asked_about_a_container_in_quarantine(engine, verb):
    executor = quarantined(engine)
    engine.asked = 0
    for _ in range(3):
        assert ask(executor, verb) is (None if verb == "status" else InQuarantine)
    assert engine.asked == 0
    assert executor.status(OTHER.name).phase is Phase.RUNNING


LISTED = {
    Phase.RUNNING: Phase.RUNNING,
    Phase.QUEUED: Phase.QUEUED,
    Phase.EXITED: Phase.LOST,  # with which exit code only the container itself could tell
    Phase.INTERRUPTED: Phase.LOST,
    Phase.STARTING: Phase.LOST,
    Phase.LOST: Phase.LOST,
}


@pytest.mark.parametrize(("listed", "told"), LISTED.items())
def test_the_list_tells_how_it_is_doing_but_never_an_end_that_could_move_a_job(engine, monkeypatch, listed, told):
    executor = quarantined(engine)
    monkeypatch.setattr(engine, "statuses", lambda: {SPEC.name: Status(listed)})
    assert executor.status(SPEC.name).phase is told


def test_what_the_list_does_not_name_any_more_is_absent(engine):
    executor = quarantined(engine)
    engine.vanish(SPEC.name)
    assert executor.status(SPEC.name).phase is Phase.ABSENT


def test_after_a_release_it_is_asked_about_and_one_more_silence_is_enough(engine):
    executor = quarantined(engine)
    executor.release(SPEC.name)
    assert ask(executor) is InQuarantine
    executor.release(SPEC.name)
    engine.silent.clear()
    assert ask(executor) is None
    engine.silent.add(SPEC.name)
    assert ask(executor) is ContainerSilent and not executor.held()


def test_the_beginning_of_a_quarantine_is_told_once_with_when_nothing_was_learnt_for_the_first_time(engine):
    told = []
    before = datetime.now(UTC)
    executor = quarantined(engine, held_anew=lambda: told.append(1))
    ask(executor)
    held = executor.held()[SPEC.name]
    assert told == [1] and before <= held.since <= datetime.now(UTC)
    assert "did not answer in time when asked about jr-1" in held.error and held.is_listed


def test_questions_that_hang_side_by_side_count_once(engine, monkeypatch):
    both_hang, goes_on = threading.Barrier(3), threading.Event()

    def hang(name: str) -> dict:
        both_hang.wait(30)
        goes_on.wait(30)
        raise ContainerSilent("no answer")

    monkeypatch.setattr(engine, "metadata", hang)
    executor = GuardedExecutor(engine)
    threads = [threading.Thread(target=ask, args=(executor,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    both_hang.wait(30)
    executor.statuses()
    goes_on.set()
    for thread in threads:
        thread.join(30)
    assert not executor.held()


def test_an_engine_that_was_asked_meanwhile_is_not_asked_again(engine, monkeypatch):
    """By its answer, or by its silence: then somebody else waits for it already."""
    executor = GuardedExecutor(engine)

    def hang(name: str) -> dict:
        executor.statuses()
        engine.lists = 0
        raise ContainerSilent("no answer")

    monkeypatch.setattr(engine, "metadata", hang)
    assert ask(executor) is ContainerSilent and engine.lists == 0


def test_a_fault_of_the_study_is_passed_on_and_is_no_silence(engine):
    executor = GuardedExecutor(engine)
    engine.missing.add(SPEC.image)
    for _ in range(3):
        with pytest.raises(ImageMissing):
            executor.start(SPEC)
    assert not executor.held()


def test_a_quarantine_of_an_earlier_process_counts(engine):
    executor = GuardedExecutor(engine)
    executor.hold(SPEC.name, Held(datetime.now(UTC), "no answer"))
    assert ask(executor) is InQuarantine
    executor.forget(SPEC.name)
    assert ask(executor) is None


def test_a_container_whose_inspect_hangs_is_told_from_an_engine_that_does(tmp_path):
    listed = {"Id": "abc", "Names": ["/jr-1"], "State": "running", "Labels": LABELS}
    with scripted_engine(tmp_path, {INSPECT: [never_answer], LIST: [answer(200, [listed])]}) as (engine, address):
        executor = GuardedExecutor(executor_at(address))
        with pytest.raises(ContainerSilent, match=r"did not answer within 0\.5 s when asked about jr-1"):
            executor.stop(SPEC.name)
        with pytest.raises(InQuarantine):
            executor.usage(SPEC.name)
        assert executor.status(SPEC.name).phase is Phase.RUNNING
        assert engine.asked.count(INSPECT) == MOST_SILENCES


def test_a_container_that_only_cannot_be_killed_in_time_is_never_in_quarantine(tmp_path):
    """Its process waits for a disk; when that answers again the job goes on by itself."""
    script = {
        INSPECT: [answer(200, container("running"))],
        "POST /containers/abc/kill": [never_answer],
        LIST: [answer(200, [])],
    }
    with scripted_engine(tmp_path, script) as (_, address):
        executor = GuardedExecutor(executor_at(address))
        for _ in range(MOST_SILENCES + 1):
            with pytest.raises(ExecutorUnavailable) as raised:
                executor.stop(SPEC.name)
            assert type(raised.value) is ExecutorUnavailable
        assert not executor.held()

"""The executor's contract, sentence by sentence, against the fake and against a real engine."""

import threading
from collections.abc import Callable

import pytest

from runner.executors.base import ContainerSpec, ExecutorUnavailable, Phase
from runner.executors.fake import FakeRun
from tests.executor_rigs import Rig
from tests.site import wait_until

# --- start


def test_start_runs_the_command_which_finds_and_leaves_files_in_the_workspace(rig):
    spec = rig.spec("cat input > output", FakeRun(files={"output": b"rows"}))
    (spec.workspace_folder / "input").write_bytes(b"rows")

    rig.run(spec)

    assert (spec.workspace_folder / "output").read_bytes() == b"rows"


def test_start_under_the_name_of_a_running_container_leaves_it_alone(rig):
    spec = rig.endless()
    rig.executor.start(spec)
    rig.wait_for(spec, Phase.RUNNING)
    started_at = rig.executor.status(spec.name).started_at

    rig.executor.start(spec)

    assert rig.executor.status(spec.name).started_at == started_at
    rig.release(spec)
    rig.wait_for(spec, Phase.EXITED)


def test_start_under_the_name_of_an_ended_container_does_not_run_it_again(rig):
    spec = rig.spec("echo x >> runs", FakeRun(log=b"x\n"))
    rig.run(spec)
    ended = rig.executor.status(spec.name)

    rig.executor.start(spec)

    assert rig.executor.status(spec.name) == ended


def test_a_container_that_was_only_created_is_starting_and_start_starts_it(rig):
    spec = rig.spec("exit 4", FakeRun(exit_code=4))
    rig.create_only(spec)
    assert rig.executor.status(spec.name).phase is Phase.STARTING
    assert rig.executor.statuses()[spec.name].phase is Phase.STARTING

    rig.run(spec)

    assert rig.executor.status(spec.name).exit_code == 4


def test_many_threads_that_start_the_same_container_start_it_once(rig):
    """It runs meanwhile: an engine starts anew what has ended between a thread's look and its start."""
    spec = rig.endless()
    threads = [threading.Thread(target=start_in_the_end, args=(rig, spec)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rig.release(spec)
    rig.wait_for(spec, Phase.EXITED)

    assert len(log_lines(rig, spec)) == 1


def start_in_the_end(rig: Rig, spec: ContainerSpec) -> None:
    """As the loop does it: what the engine cannot do now is tried again."""

    def try_to_start() -> bool:
        try:
            rig.executor.start(spec)
        except ExecutorUnavailable:
            return False
        return True

    wait_until(try_to_start, what="the start")


# --- statuses and status


def test_statuses_know_every_container_and_status_knows_the_same(rig):
    ended, running = rig.spec(), rig.endless()
    rig.run(ended)
    rig.executor.start(running)
    rig.wait_for(running, Phase.RUNNING)

    statuses = rig.executor.statuses()

    assert {name: status.phase for name, status in statuses.items()} == {
        ended.name: Phase.EXITED,
        running.name: Phase.RUNNING,
    }
    rig.release(running)
    rig.wait_for(running, Phase.EXITED)


def test_no_container_is_absent(rig):
    assert rig.executor.statuses() == {}
    assert rig.executor.status("contract-none").phase is Phase.ABSENT


@pytest.mark.parametrize("exit_code", [0, 1, 127, 137, 143, 255])
def test_an_ended_container_tells_its_exit_code_its_times_and_its_image(rig, exit_code):
    spec = rig.spec(f"exit {exit_code}", FakeRun(exit_code=exit_code))

    rig.run(spec)

    status = rig.executor.status(spec.name)
    assert (status.exit_code, status.out_of_memory) == (exit_code, False)
    assert status.started_at <= status.finished_at
    assert status.started_at.utcoffset().total_seconds() == 0
    assert status.image_id.startswith("sha256:")


def test_a_running_container_has_no_exit_code_and_no_end(rig):
    spec = rig.endless()
    rig.executor.start(spec)
    rig.wait_for(spec, Phase.RUNNING)

    status = rig.executor.status(spec.name)

    assert (status.exit_code, status.finished_at) == (None, None)
    assert status.started_at is not None
    rig.executor.stop(spec.name)


# --- logs


def log_lines(rig: Rig, spec: ContainerSpec, **options) -> list[bytes]:
    return b"".join(rig.executor.logs(spec.name, **options)).splitlines(keepends=True)


def test_every_line_of_a_log_begins_with_a_timestamp_in_nanoseconds(rig):
    spec = rig.spec("echo one; echo; echo three", FakeRun(log=b"one\n\nthree\n"))
    rig.run(spec)

    lines = log_lines(rig, spec)

    assert [line[30:] for line in lines] == [b" one\n", b" \n", b" three\n"]
    assert all(line[10:11] == b"T" and line[19:20] == b"." and line[29:30] == b"Z" for line in lines)


def test_a_last_line_without_a_newline_gets_one(rig):
    spec = rig.spec("printf one", FakeRun(log=b"one"))
    rig.run(spec)

    assert log_lines(rig, spec)[0].endswith(b" one\n")


def test_the_timestamps_of_lines_from_standard_error_come_beside_the_log(rig):
    long = 40_000  # in three pieces
    script = f"echo one; sleep 0.05; echo oh >&2; head -c {long} /dev/zero | tr '\\0' x >&2; echo >&2"
    spec = rig.spec(script, FakeRun(log=b"one\n", errors=b"oh\n" + b"x" * long + b"\n"))
    rig.run(spec)

    stream = rig.executor.logs(spec.name)
    lines = b"".join(stream).splitlines()

    assert stream.error_stamps == [line.split(b" ")[0] for line in lines if not line.endswith(b" one")]
    assert len(lines) == 3
    later = rig.executor.logs(spec.name, since=stream.error_stamps[0].decode())
    assert b"".join(later).splitlines() == lines[2:] and later.error_stamps == stream.error_stamps[1:]


def test_since_gives_only_the_later_lines(rig):
    spec = rig.spec("for i in 1 2 3 4 5; do echo $i; done", FakeRun(log=b"1\n2\n3\n4\n5\n"))
    rig.run(spec)
    lines = log_lines(rig, spec)

    for number, line in enumerate(lines):
        since = line.split(b" ")[0].decode()
        assert log_lines(rig, spec, since=since) == lines[number + 1 :]


def test_following_gives_what_is_there_at_once_and_ends_with_the_container(rig):
    spec = rig.endless()
    rig.executor.start(spec)

    stream = iter(rig.executor.logs(spec.name, follow=True))

    assert next(stream).endswith(b" begun\n")
    rig.release(spec)
    assert b"".join(stream) == b""
    rig.wait_for(spec, Phase.EXITED)


def test_a_reader_that_follows_can_be_let_go_from_another_thread(rig):
    spec = rig.endless()
    rig.executor.start(spec)
    stream = rig.executor.logs(spec.name, follow=True)
    lines = []
    reader = threading.Thread(target=lambda: lines.extend(stream))
    reader.start()
    wait_until(lambda: lines, what="the first line")

    stream.close()

    reader.join(1)
    assert not reader.is_alive()
    assert lines[0].endswith(b" begun\n")
    rig.executor.stop(spec.name)


def test_closing_a_log_that_was_read_to_its_end_is_nothing(rig):
    spec = rig.spec("echo x", FakeRun(log=b"x\n"))
    rig.run(spec)
    stream = rig.executor.logs(spec.name)
    assert list(stream)

    stream.close()

    assert len(log_lines(rig, spec)) == 1


def test_a_container_that_is_not_there_has_no_log_and_no_metadata(rig):
    spec = rig.spec("echo x", FakeRun(log=b"x\n"))
    rig.run(spec)
    assert rig.executor.metadata(spec.name)

    rig.executor.remove(spec.name)

    assert log_lines(rig, spec) == log_lines(rig, spec, follow=True) == []
    assert rig.executor.metadata(spec.name) == {}


# --- stop and remove


def test_stop_kills_at_once_what_ignores_every_other_signal(rig):
    spec = rig.spec("trap '' TERM INT; echo ready; while :; do sleep 0.02; done", FakeRun(until=threading.Event()))
    rig.executor.start(spec)
    rig.wait_for(spec, Phase.RUNNING)

    rig.executor.stop(spec.name)

    status = rig.executor.status(spec.name)
    assert (status.phase, status.exit_code, status.out_of_memory) == (Phase.EXITED, 137, False)


def test_stop_leaves_an_ended_a_created_and_an_absent_container_as_they_are(rig):
    ended, created = rig.spec("exit 3", FakeRun(exit_code=3)), rig.spec()
    rig.run(ended)
    rig.create_only(created)

    for name in (ended.name, created.name, "contract-none"):
        rig.executor.stop(name)

    assert rig.executor.status(ended.name).exit_code == 3
    assert rig.executor.status(created.name).phase is Phase.STARTING


def test_remove_removes_running_ended_created_and_absent_containers(rig):
    running, ended, created = rig.endless(), rig.spec(), rig.spec()
    rig.executor.start(running)
    rig.run(ended)
    rig.create_only(created)

    for name in (running.name, ended.name, created.name, "contract-none"):
        rig.executor.remove(name)
        rig.executor.remove(name)

    assert rig.executor.statuses() == {}


def test_a_name_can_be_used_again_after_remove(rig):
    spec = rig.spec("exit 5", FakeRun(exit_code=5))
    rig.run(spec)
    rig.executor.remove(spec.name)

    rig.run(spec)

    assert rig.executor.status(spec.name).exit_code == 5


# --- watch, describe


def test_watch_calls_when_a_container_starts_and_when_it_ends(rig):
    hints = threading.Semaphore(0)
    unwatch = rig.executor.watch(hints.release)
    spec = rig.endless()

    rig.executor.start(spec)
    wait_until(lambda: hints.acquire(blocking=False), what="a hint of the start")
    rig.wait_for(spec, Phase.RUNNING)
    drain(hints)
    rig.release(spec)

    assert hints.acquire(timeout=5), "no hint of the end"
    rig.wait_for(spec, Phase.EXITED)
    unwatch()


def test_nothing_is_called_after_the_watching_has_ended(rig):
    hints = threading.Semaphore(0)
    unwatch = rig.executor.watch(hints.release)
    rig.run(rig.spec())

    unwatch()
    drain(hints)
    rig.run(rig.spec())

    assert not hints.acquire(blocking=False)


def drain(hints: threading.Semaphore) -> None:
    while hints.acquire(timeout=0.2):
        pass


def test_describe_names_the_engine(rig):
    assert rig.executor.describe()


# --- trouble


CALLS: dict[str, Callable] = {
    "start": lambda executor, spec: executor.start(spec),
    "statuses": lambda executor, spec: executor.statuses(),
    "status": lambda executor, spec: executor.status(spec.name),
    "logs": lambda executor, spec: list(executor.logs(spec.name)),
    "stop": lambda executor, spec: executor.stop(spec.name),
    "remove": lambda executor, spec: executor.remove(spec.name),
    "metadata": lambda executor, spec: executor.metadata(spec.name),
    "describe": lambda executor, spec: executor.describe(),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_an_engine_that_does_not_answer_makes_every_verb_say_so(rig, call):
    with pytest.raises(ExecutorUnavailable, match="engine"):
        call(rig.unavailable(), rig.spec())


def test_watching_an_engine_that_does_not_answer_is_no_trouble_and_can_be_ended(rig):
    unwatch = rig.unavailable().watch(lambda: None)

    unwatch()


# --- usage


def test_the_usage_of_a_running_container_grows_and_nobody_else_has_any(rig):
    running, ended = rig.endless(), rig.spec()
    rig.executor.start(running)
    rig.run(ended)
    rig.wait_for(running, Phase.RUNNING)

    first = rig.executor.usage(running.name)
    wait_until(lambda: rig.executor.usage(running.name).at > first.at, what="a later look")
    second = rig.executor.usage(running.name)

    assert second.cpu_seconds >= first.cpu_seconds >= 0 and first.memory_bytes > 0
    assert first.at.utcoffset().total_seconds() == 0
    assert rig.executor.usage(ended.name) is None
    assert rig.executor.usage("contract-none") is None
    rig.release(running)
    rig.wait_for(running, Phase.EXITED)


def test_the_usage_of_an_engine_that_does_not_answer_is_unknown(rig):
    with pytest.raises(ExecutorUnavailable):
        rig.unavailable().usage("contract-none")


def test_another_installations_container_has_no_usage_here(rig):
    spec = rig.spec()
    rig.occupy(spec)
    assert rig.executor.usage(spec.name) is None

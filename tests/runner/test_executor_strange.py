"""Answers of a shape that the engine's API does not promise: told as the engine's trouble, and nobody else's."""

import json
from pathlib import Path

import pytest

from runner.executors.base import ContainerSpec, ExecutorUnavailable, Phase
from tests.scripted_engine import (
    CREATE,
    INSPECT,
    LIST,
    answer,
    container,
    executor_at,
    lines,
    scripted_engine,
)

SPEC = ContainerSpec("jr-1", "j", 1, "image:1", ("true",), Path("/workspace"))
NOT_UNDERSTOOD = "answered something that the job runner does not understand"
RUNNING_ENTRY = {"Id": "abc", "Names": ["/jr-1"], "State": "running"}
ENDED_ENTRY = {"Id": "def", "Names": ["/jr-2"], "State": "exited"}


def without(content: dict, *path: str) -> dict:
    """A copy without one of its keys."""
    changed = inner = json.loads(json.dumps(content))
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    return changed


NO_CONTAINERS = {
    "null": None,
    "a list": [],
    "a text": "running",
    "no Id": without(container("exited"), "Id"),
    "no Config": without(container("exited"), "Config"),
    "no State": without(container("exited"), "State"),
    "a State of null": container("exited") | {"State": None},
    "no exit code": without(container("exited"), "State", "ExitCode"),
    "a time that is none": container("exited", StartedAt="yesterday"),
}


@pytest.mark.parametrize("strange", NO_CONTAINERS.values(), ids=NO_CONTAINERS)
@pytest.mark.parametrize(
    "call",
    [
        lambda executor: executor.status("jr-1"),
        lambda executor: executor.start(SPEC),
    ],
    ids=["status", "start"],
)
def test_a_container_that_is_told_in_another_shape_is_trouble_of_the_engine(tmp_path, strange, call):
    script = {INSPECT: [lines(strange)], CREATE: [answer(409, {"message": "Conflict"})]}
    with (
        scripted_engine(tmp_path, script) as (_, address),
        pytest.raises(ExecutorUnavailable, match=NOT_UNDERSTOOD) as raised,
    ):
        call(executor_at(address))

    assert raised.value.detail


@pytest.mark.parametrize("verb", ["stop", "remove", "metadata", "logs"])
def test_every_verb_that_looks_at_a_container_says_so(tmp_path, verb):
    with (
        scripted_engine(tmp_path, {INSPECT: [answer(200, {"Config": {"Labels": ["org.jobrunner"]}})]}) as (_, address),
        pytest.raises(ExecutorUnavailable, match=NOT_UNDERSTOOD),
    ):
        getattr(executor_at(address), verb)("jr-1")


@pytest.mark.parametrize("strange", [None, [], {"Warnings": []}])
def test_a_new_container_without_an_id_is_trouble_of_the_engine(tmp_path, strange):
    with (
        scripted_engine(tmp_path, {CREATE: [lines(strange)]}) as (_, address),
        pytest.raises(ExecutorUnavailable, match=NOT_UNDERSTOOD),
    ):
        executor_at(address).start(SPEC)


@pytest.mark.parametrize("strange", [None, {}, {"Mounts": None}, {"Mounts": [{"Type": "volume"}]}])
def test_a_new_container_whose_mounts_are_not_told_is_not_started(tmp_path, strange):
    script = {CREATE: [answer(201, {"Id": "abc"})], "GET /containers/abc/json": [lines(strange)]}
    with (
        scripted_engine(tmp_path, script) as (engine, address),
        pytest.raises(ExecutorUnavailable, match=NOT_UNDERSTOOD),
    ):
        executor_at(address).start(SPEC)

    assert engine.asked[-1] == "GET /containers/abc/json"


@pytest.mark.parametrize("strange", [None, [], {"ApiVersion": 1.41}, "1.41"])
def test_a_server_that_tells_no_version_is_no_engine(tmp_path, strange):
    with (
        scripted_engine(tmp_path, {"GET /version": [lines(strange)]}) as (_, address),
        pytest.raises(ExecutorUnavailable, match=NOT_UNDERSTOOD),
    ):
        executor_at(address).describe()


@pytest.mark.parametrize("strange", [None, {"message": "x"}, "running", 1])
def test_a_list_that_is_none_is_trouble_of_the_engine(tmp_path, strange):
    with (
        scripted_engine(tmp_path, {LIST: [lines(strange)]}) as (_, address),
        pytest.raises(ExecutorUnavailable, match=NOT_UNDERSTOOD),
    ):
        executor_at(address).statuses()


@pytest.mark.parametrize("strange", [None, "x", {}, {"Names": ["/jr-1"], "State": "running"}])
def test_an_entry_that_names_no_container_is_left_out(tmp_path, strange):
    with scripted_engine(tmp_path, {LIST: [answer(200, [strange, ENDED_ENTRY])]}) as (_, address):
        assert {name: each.phase for name, each in executor_at(address).statuses().items()} == {"jr-2": Phase.EXITED}


@pytest.mark.parametrize("strange", [without(RUNNING_ENTRY, "State"), RUNNING_ENTRY | {"State": {"Running": True}}])
def test_a_strange_entry_blinds_nobody_to_the_others_and_its_container_is_asked_about_alone(tmp_path, strange, caplog):
    script = {LIST: [answer(200, [strange, ENDED_ENTRY])], INSPECT: [answer(200, container("running"))]}
    with scripted_engine(tmp_path, script) as (_, address):
        executor = executor_at(address)
        for _ in range(3):
            phases = {name: status.phase for name, status in executor.statuses().items()}

    assert phases == {"jr-1": Phase.RUNNING, "jr-2": Phase.EXITED}
    assert len([record for record in caplog.records if "jr-1" in record.message]) == 1


def test_a_container_that_is_strange_in_every_answer_is_lost_and_says_why(tmp_path):
    script = {LIST: [answer(200, [without(RUNNING_ENTRY, "State"), ENDED_ENTRY])], INSPECT: [answer(200, {})]}
    with scripted_engine(tmp_path, script) as (_, address):
        statuses = executor_at(address).statuses()

    assert (statuses["jr-1"].phase, statuses["jr-2"].phase) == (Phase.LOST, Phase.EXITED)
    assert NOT_UNDERSTOOD in statuses["jr-1"].reason


def test_a_bug_of_ours_between_two_calls_is_not_told_as_the_engines_trouble(tmp_path):
    script = {INSPECT: [answer(200, container("running"))]}
    with (
        scripted_engine(tmp_path, script) as (_, address),
        pytest.raises(KeyError),
        executor_at(address)._engine.asked("anything"),
    ):
        raise KeyError("a bug")

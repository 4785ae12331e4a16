"""The recorded exchanges with a real controller of 2026-08 (tests/fixtures/contract), replayed against ours.

Status, keys, types and texts are compared; where ours differs on purpose, the table says why.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs import git
from jobs.models import JobRequest
from tests.factories import make_job, make_request
from tests.rap import BASE, OTHER_TOKEN, TOKEN, Caller, plan, planning

FOLDER = Path(__file__).resolve().parents[2] / "fixtures" / "contract"
TOKENS = {"<rap-token>": TOKEN, "<other-rap-token>": OTHER_TOKEN}
OUR_WORDS = "our own words for the same"
# Name of the exchange -> what is not compared (a status, or a place in the answer), and why.
ON_PURPOSE = {
    "create-already-scheduled": ({"details"}, OUR_WORDS),
    "create-unknown-action": ({"details"}, OUR_WORDS),
    "create-bad-commit": ({"details"}, OUR_WORDS),
    "create-backend-not-allowed": ({"details"}, "it says what is wrong instead of 'Unknown error'"),
    "create-stale-codelists": ({"details"}, OUR_WORDS),
    "same-id-different-workspace": ({"details"}, "it says what differs"),
    "status-success": ({"trace_context"}, "we record no traces"),
    "status-unrecognised": ({"trace_context"}, "we record no traces"),
    "status-after-cancel": ({"trace_context", "completed_at"}, "a job that has not ended has no time of its end"),
    "backend-status": ({"backends"}, "a site of ours is one backend"),
    "analysis-scope-null": ({"status"}, "the published example of a request leaves it null"),
    "status-bad-id-in-list": ({"status"}, "one odd row at a job-server would stop the updates of all"),
    "bearer": ({"status"}, "the published document says bearer"),
}


def exchanges(number: int) -> Iterator[tuple[str, dict, dict]]:
    """Name, request and answer of each exchange of a file that the real controller has answered."""
    (file,) = FOLDER.glob(f"{number}-*.json")
    for exchange in json.loads(file.read_text())["exchanges"]:
        for call in exchange.get("calls", [exchange]):
            if call.get("responder", "real controller").startswith("real controller"):
                yield exchange["name"], call["request"], call["response"]


def replay(request: dict):
    assert request["path"].startswith(BASE)
    headers = {name: value for name, value in request["headers"].items() if name != "Content-Type"}
    for shown, token in TOKENS.items():
        headers = {name: value.replace(shown, token) for name, value in headers.items()}
    body = request["raw"].encode() if "raw" in request else json.dumps(request.get("json")).encode()
    return Caller(None).send(request["method"], request["path"].removeprefix(BASE), body, headers=headers)


def differences(ours: object, theirs: object, left_out: set[str], place: str = "answer") -> Iterator[str]:
    """Keys and types everywhere; of texts those that the answer itself holds."""
    if type(ours) is not type(theirs):
        yield f"{place}: {ours!r} instead of {theirs!r}"
    elif isinstance(theirs, dict):
        if ours.keys() != theirs.keys():
            yield f"{place}: keys {sorted(ours)} instead of {sorted(theirs)}"
            return
        for key in theirs.keys() - left_out:
            yield from differences(ours[key], theirs[key], left_out, f"{place}.{key}")
    elif isinstance(theirs, list):
        if all(isinstance(each, str) for each in [*ours, *theirs]):
            ours, theirs = sorted(ours), sorted(theirs)  # theirs came in the order of a set
        if len(ours) != len(theirs):
            yield f"{place}: {len(ours)} instead of {len(theirs)}"
        for number, (one, other) in enumerate(zip(ours, theirs, strict=False)):
            yield from differences(one, other, left_out, f"{place}[{number}]")
    elif place.count(".") == 1 and ours != theirs:
        yield f"{place}: {ours!r} instead of {theirs!r}"


def compare(name: str, answer, recorded: dict) -> Iterator[str]:
    left_out, _ = ON_PURPOSE.get(name, (set(), ""))
    if "status" in left_out:
        if answer.status_code == recorded["status"]:
            yield f"{name}: as recorded, although it is listed as other on purpose"
        return
    if answer.status_code != recorded["status"]:
        yield f"{name}: {answer.status_code} instead of {recorded['status']}: {answer.content.decode()[:300]}"
    elif "json" in recorded:
        yield from (f"{name}: {each}" for each in differences(answer.json(), recorded["json"], left_out))
    else:
        told = {key: value for key, value in recorded["headers"].items() if key in ("allow", "location")}
        if {key: answer.headers.get(key) for key in told} != told or answer.content.decode() != recorded["text"]:
            yield f"{name}: {answer.headers} {answer.content!r}"


def plan_with_git(request: JobRequest) -> None:
    """As sync plans: git is asked first, and does not have the commit of f's."""
    if request.commit == "f" * 40:
        request.conclude(JobRequest.Outcome.REFUSED, "There is no such commit.", error_name=git.GitError.__name__)
    else:
        plan(request)


def test_every_deviation_is_still_one_of_a_recorded_exchange():
    recorded = {name for number in (15, 17, 18, 19, 20) for name, *_ in exchanges(number)}
    assert set(ON_PURPOSE) <= recorded


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("number", [15, 20])
@pytest.mark.usefixtures("planner_lives")
def test_creating_is_answered_as_recorded(settings, number):
    """20 goes on with status and cancellation of what it has created."""
    found = []
    with planning(plan_with_git):
        for name, request, recorded in exchanges(number):
            # The recorded controller served several backends.
            settings.BACKEND = "tpp" if name == "create-stale-codelists" else "test"
            found += compare(name, replay(request), recorded)
    assert not found, "\n".join(found)


@pytest.mark.django_db
@pytest.mark.parametrize("number", [17, 18, 19])
def test_reporting_and_cancelling_are_answered_as_recorded(number):
    request = make_request(identifier="rap0000000000001", backend="test")
    for action in ("generate_dataset", "analyse"):
        make_job(request=request, action=action, requires_db=action == "generate_dataset")
    found = []
    for name, asked, recorded in exchanges(number):
        found += compare(name, replay(asked), recorded)
    assert not found, "\n".join(found)


def test_a_difference_is_found():
    theirs = {"jobs": [{"a": None, "b": "x"}], "result": "yes"}
    assert not list(differences({"jobs": [{"a": None, "b": "y"}], "result": "yes"}, theirs, set()))
    for ours in (
        {"jobs": [{"a": None, "b": "x"}], "result": "no"},
        {"jobs": [{"a": "", "b": "x"}], "result": "yes"},
        {"jobs": [{"a": None}], "result": "yes"},
        {"jobs": [], "result": "yes"},
        {"jobs": [{"a": None, "b": "x"}]},
    ):
        assert list(differences(ours, theirs, set()))

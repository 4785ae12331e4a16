"""Remote JSON -> JobRequest: what real job-servers list, and everything that none should."""

import datetime as dt
import json
import math
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone
from hypothesis import example, given
from hypothesis import strategies as st

from jobs.models import Flag, JobRequest
from sync.formats import NotOurs, Unusable, flags_header, request_from_remote
from tests import recordings

Outcome = JobRequest.Outcome


def remote(inside: dict | None = None, /, **fields) -> dict:
    """A result as today's job-server lists it; `...` as a value leaves the field out."""
    result = {
        "backend": "test",
        "sha": "c" * 40,
        "identifier": "abcdefgh2345wxyz",
        "force_run_dependencies": False,
        "requested_actions": ["make_table"],
        "cancelled_actions": [],
        "created_by": "alice",
        "created_at": "2026-11-26T10:00:00.123456Z",
        "workspace": {
            "name": "study",
            "repo": "https://github.com/opensafely/study",
            "branch": "main",
            "created_by": "alice",
            "created_at": "2026-01-01T00:00:00Z",
        }
        | (inside or {}),
        "database_name": "default",
        "project": "project",
        "orgs": ["organisation"],
        "codelists_ok": True,
    } | fields
    result["workspace"] = without_gaps(result["workspace"])
    return without_gaps(result)


def without_gaps(value: object) -> object:
    return {key: each for key, each in value.items() if each is not ...} if isinstance(value, dict) else value


def read(result: object) -> JobRequest:
    return request_from_remote(result, "test")


def test_a_request_of_today_becomes_a_row_that_waits():
    request = read(remote(requested_actions=["a", "b"], cancelled_actions=["b"], force_run_dependencies=True))
    assert (request.identifier, request.source, request.outcome) == ("abcdefgh2345wxyz", "polling", "waiting")
    assert (request.backend, request.workspace, request.branch) == ("test", "study", "main")
    assert (request.repo_url, request.commit) == ("https://github.com/opensafely/study", "c" * 40)
    assert (request.requested_actions, request.cancelled_actions) == (["a", "b"], ["b"])
    assert (request.force_run_dependencies, request.codelists_ok) == (True, True)
    assert (request.created_by, request.project, request.orgs) == ("alice", "project", ["organisation"])
    assert request.created_at == datetime(2026, 11, 26, 10, 0, 0, 123456, UTC)
    assert (request.outcome_message, request.error_name) == ("", "")
    assert request.original == remote(
        requested_actions=["a", "b"], cancelled_actions=["b"], force_run_dependencies=True
    )


# Recordings

LISTED = {
    f"{name}-{place}": (exchange["era"], result)
    for name, exchange in recordings.exchanges(1, 5)
    if exchange["response"]["status"] == 200 and exchange["request"]["method"] == "GET"
    for place, result in enumerate(exchange["response"]["json"]["results"])
}


@pytest.mark.parametrize(("era", "result"), LISTED.values(), ids=LISTED.keys())
def test_every_recorded_request_is_read(era, result):
    request = request_from_remote(result, result["backend"])
    assert request.identifier == result["identifier"]
    assert request.requested_actions == result["requested_actions"]
    assert request.cancelled_actions == list(dict.fromkeys(result["cancelled_actions"]))
    assert request.commit == result["sha"]
    assert request.workspace == result["workspace"]["name"]
    assert request.created_by == (result["created_by"] or "")
    assert request.created_at == datetime.fromisoformat(result["created_at"])
    assert (request.database_name, request.codelists_ok) == ("default", result.get("codelists_ok", True))
    assert (request.project, request.orgs) == (result.get("project") or "", result.get("orgs") or [])
    assert request.original == result
    is_whole = result["sha"] and result["requested_actions"] and result["workspace"]["repo"]
    assert request.outcome == (Outcome.WAITING if is_whole else Outcome.REFUSED)
    with pytest.raises(NotOurs):
        request_from_remote(result, "another")


def test_all_three_eras_are_among_the_recordings():
    assert {era for era, _ in LISTED.values()} == set(recordings.ERAS)


# What costs the result, what refuses the request, what has a default


@pytest.mark.parametrize("result", [None, 1, 1.5, True, "x", [], [{}], {}], ids=repr)
def test_a_result_without_an_identifier_is_unusable(result):
    with pytest.raises(Unusable):
        read(result)


@pytest.mark.parametrize(
    "identifier",
    [..., None, "", "x" * 256, 7, 7.0, True, [], {}, ["abc"], "a\0b", "a\nb", "a\ud800", "\u2028"],
    ids=repr,
)
def test_an_identifier_that_cannot_be_a_key_is_unusable(identifier):
    with pytest.raises(Unusable):
        read(remote(identifier=identifier))


@pytest.mark.parametrize(
    "identifier", ["abcdefgh2345wxyz", "6ecee4d3-4b5a-4b8e-8f1e-9b5b4c3b2a10", "x", "x" * 255, "\N{OK HAND SIGN}"]
)
def test_any_other_text_is_an_identifier(identifier):
    assert read(remote(identifier=identifier)).identifier == identifier


@pytest.mark.parametrize("backend", [..., None, "", "other", "TEST", " test", 1, ["test"], {"test": 1}], ids=repr)
def test_a_request_of_another_backend_is_not_ours(backend):
    with pytest.raises(NotOurs):
        read(remote(backend=backend))


REFUSED = {
    "sha": (["", None, ..., 1, [], {}, "c" * 41, "c\0", "\ud800"], "sha"),
    "requested_actions": ([[], None, ..., "a", 1, {}, {"a": 1}, [1], [None], [["a"]], [{}], ["a", True]], "requested"),
    "cancelled_actions": (["a", 1, {}, [1], [{}], [["a"]]], "cancelled"),
    "workspace": ([..., None, [], "study", 1], "workspace.name is missing; workspace.repo is missing"),
    "force_run_dependencies": (["yes", 1, 0, [], {}], "force_run_dependencies is neither true nor false"),
    "codelists_ok": (["yes", 1, 0, [], {}], "codelists_ok is neither true nor false"),
    "created_by": ([1, [], {}, True, "a" * 256, "a\tb"], "created_by"),
    "project": ([1, [], {}, "a" * 256, "a\x1b"], "project"),
    "orgs": (["a", 1, {}, [1], [[]]], "orgs"),
    "database_name": ([1, [], {}, "x" * 65, "a\0"], "database_name"),
}


@pytest.mark.parametrize(
    ("field", "value", "sign"),
    [(field, value, sign) for field, (values, sign) in REFUSED.items() for value in values],
    ids=repr,
)
def test_a_field_that_cannot_be_used_refuses_the_request_and_is_named(field, value, sign):
    request = read(remote(**{field: value}))
    assert (request.outcome, request.error_name) == (Outcome.REFUSED, "RequestError")
    assert request.outcome_at is not None
    assert request.outcome_message.startswith("The job-server's request cannot be used: ")
    assert sign in request.outcome_message
    assert_storable(request)


@pytest.mark.parametrize("field", ["name", "repo", "branch"])
@pytest.mark.parametrize("value", [1, [], {}, True, "x" * 2000, "a\0b", "a\u2029", "\udfff"], ids=repr)
def test_a_field_of_the_workspace_that_cannot_be_used_refuses_the_request(field, value):
    request = read(remote({field: value}))
    assert request.outcome == Outcome.REFUSED
    assert f"workspace.{field}" in request.outcome_message
    assert_storable(request)


def test_the_repository_as_a_number_of_september_2022_is_refused_with_a_reason():
    assert "workspace.repo is no text" in read(remote({"repo": 12})).outcome_message


def test_everything_wrong_is_said_at_once():
    message = read(remote({"repo": None}, sha="", requested_actions=[])).outcome_message
    assert message == (
        "The job-server's request cannot be used: "
        "workspace.repo is missing; sha is missing; requested_actions names nothing."
    )


@pytest.mark.parametrize("gap", [..., None])
def test_what_is_missing_or_null_has_a_default(gap):
    fields = ("cancelled_actions", "force_run_dependencies", "codelists_ok", "created_by", "project", "orgs")
    request = read(remote({"branch": gap}, **dict.fromkeys((*fields, "database_name", "created_at"), gap)))
    assert request.outcome == Outcome.WAITING
    assert (request.branch, request.created_by, request.project, request.orgs) == ("", "", "", [])
    assert (request.cancelled_actions, request.force_run_dependencies, request.codelists_ok) == ([], False, True)
    assert request.database_name == "default"
    assert abs(request.created_at - timezone.now()) < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("top", "inside", "expected"),
    [
        ("full", ..., "default"),
        ("default", ..., "default"),
        (..., "full", "default"),
        (..., "default", "default"),
        ("", "full", "default"),
        (None, None, "default"),
        ("slice", "full", "slice"),
        (..., "slice", "slice"),
    ],
)
def test_both_names_of_the_database_are_one(top, inside, expected):
    assert read(remote({"db": inside}, database_name=top)).database_name == expected


def test_the_name_of_a_database_fits_wherever_it_comes_from():
    request = read(remote({"db": "x" * 100}, database_name=...))
    assert request.outcome == Outcome.REFUSED
    assert_storable(request)


def test_actions_that_are_named_twice_count_once():
    request = read(remote(requested_actions=["b", "a", "b"], cancelled_actions=["a", "a", "x\0", "x\x01"]))
    assert request.requested_actions == ["b", "a"]
    assert request.cancelled_actions == ["a", "x\ufffd"]


def test_unknown_keys_are_ignored_and_kept_for_the_audit():
    request = read(remote({"new": 1}, newer={"a": [1]}))
    assert request.outcome == Outcome.WAITING
    assert request.original["newer"] == {"a": [1]}
    assert request.original["workspace"]["new"] == 1


@pytest.mark.parametrize("name", ["\N{OK HAND SIGN}", "\u202eabc", "añadir", "a" * 128])
def test_signs_of_every_script_pass(name):
    request = read(remote({"name": name}, created_by=name, requested_actions=[name]))
    assert (request.workspace, request.created_by, request.requested_actions) == (name, name, [name])


# Times

ODD_TIMES = [
    *("", "yesterday", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00"),
    *("2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z", "2026-01-01T25:00:00Z", "2026-01-01T00:00:00+99:99"),
    *("9" * 5000, 1764151200, 1.5, True, [], {}, "\ud800"),
]


@pytest.mark.parametrize("time", ODD_TIMES, ids=repr)
def test_an_odd_time_becomes_the_moment_of_arrival(time):
    request = read(remote(created_at=time))
    assert request.outcome == Outcome.WAITING
    assert abs(request.created_at - timezone.now()) < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-26T10:00:00Z", datetime(2026, 11, 26, 10, tzinfo=UTC)),
        ("2026-11-26T10:00:00.5Z", datetime(2026, 11, 26, 10, 0, 0, 500_000, UTC)),
        ("2026-11-26T10:00:00", datetime(2026, 11, 26, 10, tzinfo=UTC)),
        ("2026-11-26T12:00:00+02:00", datetime(2026, 11, 26, 10, tzinfo=UTC)),
    ],
)
def test_a_time_is_read_in_every_spelling(text, expected):
    assert read(remote(created_at=text)).created_at == expected


# Storable, whatever comes

LENGTHS = {field.name: field.max_length for field in JobRequest._meta.fields if getattr(field, "max_length", None)}
JSON_COLUMNS = ("requested_actions", "cancelled_actions", "orgs", "original", "study_actions", "analysis_scope")


def texts_in(value: object):
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield key
            yield from texts_in(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts_in(each)


def assert_storable(request: JobRequest) -> None:
    """By PostgreSQL too, which is stricter than SQLite."""
    for name, longest in LENGTHS.items():
        assert len(getattr(request, name)) <= longest, name
    for name in JSON_COLUMNS:
        json.dumps(getattr(request, name), allow_nan=False)
    columns = [getattr(request, field.name) for field in request._meta.fields if field.name != "id"]
    for text in texts_in(columns):
        assert "\0" not in text
        text.encode()
    assert request.created_at.utcoffset() is not None
    assert 2000 <= request.created_at.year <= 9001
    assert not request.outcome_message or request.outcome == Outcome.REFUSED


any_text = st.text(st.characters(exclude_categories=())) | st.sampled_from(
    ["", "test", "\0", "\ud800", "\\u0000", "x" * 3000]
)
any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | any_text | st.datetimes().map(datetime.isoformat),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(any_text, inner, max_size=4),
    max_leaves=12,
)


@given(any_json)
def test_no_json_at_all_breaks_the_reading(value):
    try:
        request = read(value)
    except (Unusable, NotOurs):
        return
    assert_storable(request)


@given(
    st.dictionaries(st.sampled_from(list(remote())), any_json),
    st.dictionaries(st.sampled_from(["name", "repo", "branch", "db"]), any_json) | any_json,
)
@example({"created_at": "2026-01-01T00:00:00+23:59"}, {})
@example({"newer": math.inf}, {"db": "x" * 100})
def test_no_request_with_spoilt_fields_breaks_the_reading(fields, workspace):
    result = {**remote(), **fields}
    result["workspace"] = remote()["workspace"] | workspace if isinstance(workspace, dict) else workspace
    result |= {"identifier": "abc", "backend": "test"}
    assert_storable(read(result))


def nested(depth: int) -> list:
    found: list = []
    for _ in range(depth):
        found = [found]
    return found


@pytest.mark.parametrize("depth", [10, 100, 900])
def test_a_deep_result_is_read_and_kept_as_far_as_it_can_be_stored(depth):
    """JSON of such a depth can be parsed, but not written again further down the stack."""
    result = remote(newer=nested(depth))
    request = read(result)
    assert request.outcome == Outcome.WAITING
    assert_storable(request)
    assert (request.original == result) is (depth == 10)
    assert request.original["sha"] == "c" * 40


def test_a_giant_result_is_not_kept_for_the_audit():
    request = read(remote(newer="x" * 200_000))
    assert request.outcome == Outcome.WAITING
    assert list(request.original) == ["not kept"]


def test_what_only_looks_like_an_escaped_nul_is_kept():
    texts = ["\\u0000", "\\\\u0000", "u0000", "\\", '"\\u0000"']
    assert read(remote(newer=texts)).original["newer"] == texts


@pytest.mark.django_db
@pytest.mark.parametrize(
    "fields",
    [
        {"newer": ["a\0b", "\ud800", 1e999, -1e999, 10**400, nested(500)]},
        {"\0\ud800": 1},
        {"sha": "\0" * 50, "created_by": "\ud800" * 300, "orgs": ["\0"], "cancelled_actions": ["\udfff"]},
        {"database_name": ..., "workspace": {"db": "\0" * 99, "name": "\0" * 999, "repo": "\ud800" * 9999}},
    ],
)
def test_what_was_read_can_be_stored_and_found_again(fields):
    request = read(remote(**fields))
    JobRequest.objects.bulk_create([request])
    stored = JobRequest.objects.get(identifier=request.identifier)
    assert stored.original == request.original
    assert stored.outcome == request.outcome


# The Flags header


def flag(name: str, value: str) -> Flag:
    return Flag(name=name, value=value, set_by="olive", reason="why", set_at=datetime(2026, 11, 23, 10, tzinfo=UTC))


RECORDED_FLAGS = json.loads(
    next(exchange for _, exchange in recordings.exchanges(14, 14))["request"]["headers"]["Flags"]
)
SEEN = datetime(2026, 11, 23, 10, 0, 0, 123456, dt.timezone(timedelta(hours=2)))
STATES = [(maintenance, paused) for maintenance in ("on", "", None) for paused in ("on", "", None)]


@pytest.mark.parametrize(("maintenance", "paused"), STATES)
@pytest.mark.parametrize("last_seen", [SEEN, None])
def test_the_header_is_always_of_the_recorded_shape(maintenance, paused, last_seen):
    values = {Flag.Name.DB_MAINTENANCE: maintenance, Flag.Name.PAUSED: paused}
    header = flags_header({name: flag(name, value) for name, value in values.items() if value is not None}, last_seen)
    assert header.isascii() and header.isprintable()
    found = json.loads(header)
    assert found.keys() == RECORDED_FLAGS.keys() - (set() if last_seen else {"last-seen-at"})
    for name, entry in found.items():
        assert entry.keys() == RECORDED_FLAGS[name].keys()
        assert len(entry["ts"]) == len(RECORDED_FLAGS[name]["ts"]) and entry["ts"].endswith("Z")
    assert found["mode"]["v"] == (RECORDED_FLAGS["mode"]["v"] if maintenance else None)
    assert found["paused"]["v"] == (RECORDED_FLAGS["paused"]["v"] if paused else None)
    if last_seen:
        assert found["last-seen-at"]["v"] == "2026-11-23T08:00:00.123456+00:00"


def test_a_flag_says_since_when():
    header = json.loads(flags_header({Flag.Name.PAUSED: flag(Flag.Name.PAUSED, "on")}, None))
    assert header["paused"]["ts"] == "2026-11-23T10:00:00.000000Z"

"""The log viewer: what it shows, what it asks, and what it gives away to whom."""

import gzip
import os
import re

import pytest
from django.urls import reverse
from django.utils import timezone

from jobs.models import AuditEntry
from jobs.people import log_views
from jobs.people.roles import OPERATOR, VIEWER
from jobs.states import StatusCode
from jobs.views import job_log
from tests.factories import make_job
from tests.logs import stamped, write_log
from tests.web import client_of, poll

pytestmark = pytest.mark.django_db
NAMES = ("job-log", "job-log-news", "job-log-search", "job-log-raw", "job-log-gz")


@pytest.fixture
def olive():
    return client_of(OPERATOR, name="olive")


def get(client, job, name="job-log", *, script: bool = False, **parameters):
    headers = {"HX-Request": "true"} if script else {}
    return client.get(reverse(name, args=[job.identifier]), parameters, headers=headers)


def page(client, job, **parameters) -> str:
    return get(client, job, **parameters).content.decode()


def numbers(html: str) -> list[int]:
    return [int(each) for each in re.findall(r'id="L(\d+)"', html)]


@pytest.fixture(autouse=True)
def storage(settings):
    settings.HIGH_PRIVACY_STORAGE_BASE.mkdir()


# --- who may


@pytest.mark.parametrize("name", NAMES)
def test_only_who_may_read_logs_gets_anything(client, name):
    job = make_job(StatusCode.SUCCEEDED)
    write_log(job, ["a patient's row"])
    assert get(client, job, name).status_code == 302
    assert get(client, job, name, script=True).status_code == 401
    for refused in (client_of(), client_of(VIEWER)):
        response = get(refused, job, name)
        assert response.status_code == 403
        assert b"patient" not in response.content
    assert not AuditEntry.objects.filter(verb__in=("view log", "download")).exists()


@pytest.mark.parametrize("name", NAMES)
def test_nothing_of_a_log_stays_in_a_cache_and_it_is_only_read(olive, name):
    job = make_job(StatusCode.SUCCEEDED)
    write_log(job, ["one"])
    assert "no-store" in get(olive, job, name)["Cache-Control"]
    assert olive.post(reverse(name, args=[job.identifier])).status_code == 405


@pytest.mark.parametrize("name", NAMES)
def test_a_job_or_attempt_that_is_not_there_is_not_found(olive, name):
    job = make_job(StatusCode.SUCCEEDED, attempt=2)
    write_log(job, ["one"])
    assert olive.get(reverse(name, args=["nosuchjob"])).status_code == 404
    for attempt in ("0", "3"):
        assert get(olive, job, name, attempt=attempt).status_code == 404


def test_the_log_part_of_another_page_tells_a_viewer_why_there_is_none(rf):
    job = make_job(StatusCode.SUCCEEDED)
    write_log(job, ["a patient's row"])
    request = rf.get("/")
    request.user = client_of(VIEWER).person
    view = job_log.log_context(request, job)["log"]
    assert view.piece is None
    assert "role does not read logs" in view.nothing.sentence


# --- what is shown


def test_the_page_shows_the_last_thousand_lines_and_a_way_to_earlier_ones(olive):
    job = make_job(StatusCode.SUCCEEDED)
    write_log(job, [f"line {number}" for number in range(1, 1501)])
    html = page(olive, job)
    assert numbers(html) == list(range(501, 1501))
    assert "line 1500" in html
    earlier = re.search(r'href="([^"]*before=\d+)"', html)[1].replace("&amp;", "&")
    html = olive.get(earlier).content.decode()
    assert numbers(html) == list(range(1, 501))
    later = re.search(r'href="([^"]*after=\d+)"', html)[1].replace("&amp;", "&")
    assert numbers(olive.get(later).content.decode()) == list(range(501, 1501))


def test_a_link_to_a_line_leads_to_it_without_scripts(olive):
    job = make_job(StatusCode.SUCCEEDED)
    write_log(job, [f"line {number}" for number in range(1, 5001)])
    shown = numbers(page(olive, job, line=42))
    assert 42 in shown
    assert 5000 not in shown


LINES = ["one", "two", "three"]


def test_lines_from_standard_error_are_marked_and_others_are_not(olive):
    job = make_job(StatusCode.SUCCEEDED)
    path = write_log(job, LINES)
    stamp = path.read_bytes().splitlines()[1].split(b" ")[0]
    assert "log-stderr" not in page(olive, job)
    path.with_name("stderr.txt").write_bytes(stamp + b"\n\xff\x00<script>\n")
    html = page(olive, job)
    assert html.count("log-stderr") == 1 and f'title="{stamp.decode()}, standard error"' in html


@pytest.mark.parametrize("kind", ["folder", "link", "pipe"])
def test_what_lies_where_the_marks_belong_is_not_read(olive, tmp_path, kind):
    job = make_job(StatusCode.SUCCEEDED)
    path = write_log(job, LINES)
    (tmp_path / "all").write_bytes(b"\n".join(line.split(b" ")[0] for line in path.read_bytes().splitlines()))
    beside = path.with_name("stderr.txt")
    make = {"folder": beside.mkdir, "pipe": lambda: os.mkfifo(beside)}
    make.get(kind, lambda: beside.symlink_to(tmp_path / "all"))()
    html = page(olive, job)
    assert "log-stderr" not in html and len(numbers(html)) == 3


def test_hostile_lines_are_text(olive):
    job = make_job(StatusCode.NONZERO_EXIT)
    write_log(
        job,
        [
            "<script>alert(1)</script>",
            "\x1b]8;;javascript:alert(1)\x07click\x1b]8;;\x07 \x1b[31m<img src=x onerror=alert(2)>\x1b[0m",
            "user\u202etxt.exe \x1b[8mhidden\x1b[0m",
            "x" * 2**20,
            '" onmouseover="alert(3)',
        ],
    )
    html = page(olive, job)
    assert "<script>alert" not in html
    assert "<img src=x" not in html
    assert "javascript:" not in html
    assert "\u202e" not in html
    assert "user\\u202etxt.exe hidden" in html
    assert len(html) < 50_000
    assert "more in this line" in html
    assert '" onmouseover' not in html


def test_hostile_parameters_harm_nothing(olive):
    job = make_job(StatusCode.SUCCEEDED)
    write_log(job, ["one", "two"])
    for name in ("before", "after", "line", "from", "attempt"):
        for value in ("-1", "9" * 400, "x", "\0", "٣", "1e9", ""):
            assert get(olive, job, **{name: value}).status_code in (200, 404)
            assert get(olive, job, "job-log-news", **{name: value}).status_code in (200, 204, 404)
    html = page(olive, job, q='"><script>alert(1)</script>\u202e')
    assert "<script>alert" not in html


def test_earlier_attempts_have_their_own_logs(olive):
    job = make_job(StatusCode.EXECUTING, attempt=2)
    write_log(job, ["of the first"], attempt=1)
    write_log(job, ["of the second"])
    html = page(olive, job)
    assert "of the second" in html
    assert "?attempt=1" in html
    html = page(olive, job, attempt=1)
    assert "of the first" in html
    assert "data-growing" not in html
    assert page(olive, job, attempt=2).count("data-growing") == 1


def test_a_search_works_without_scripts(olive):
    job = make_job(StatusCode.SUCCEEDED)
    write_log(job, ["alpha", "beta", "Beta"])
    html = page(olive, job, q="beta")
    assert "2 lines with" in html
    assert "line=3#L3" in html
    assert "1 line with" in page(olive, job, q="^beta", regex="1", case="1")
    assert "not a regular expression" in page(olive, job, q="(", regex="1")


@pytest.mark.parametrize(
    ("status_code", "columns", "sentence"),
    [
        (StatusCode.CREATED, {"status_message": "Waiting for a worker."}, "not started. Waiting for a worker."),
        (StatusCode.PREPARING, {}, "being prepared"),
        (StatusCode.EXECUTING, {}, "has written nothing yet"),
        (StatusCode.EXECUTED, {}, "Its log is being fetched"),
        (StatusCode.CANCELLED_BY_USER, {}, "never started"),
        (StatusCode.JOB_ERROR, {"started_at": timezone.now()}, "Its container never started"),
        (StatusCode.SUCCEEDED, {"started_at": timezone.now(), "exit_code": 0}, "removed from high privacy storage"),
    ],
)
def test_without_lines_the_page_says_why(olive, status_code, columns, sentence):
    html = page(olive, make_job(status_code, **columns))
    assert sentence in html
    assert 'id="log-scroll"' not in html


def test_a_job_that_waits_for_others_names_them(olive):
    first = make_job(StatusCode.EXECUTING, action="generate_dataset")
    job = make_job(StatusCode.WAITING_ON_DEPENDENCIES, waits_for=[first])
    assert "it starts when generate_dataset ends" in page(olive, job)


def test_an_empty_log_is_told_from_none(olive):
    begun = {"started_at": timezone.now()}
    running, ended = make_job(StatusCode.EXECUTING, **begun), make_job(StatusCode.SUCCEEDED, exit_code=0, **begun)
    refused, cancelled = make_job(StatusCode.JOB_ERROR, **begun), make_job(StatusCode.CANCELLED_BY_USER, **begun)
    cancelled.status_changes.create(from_code=StatusCode.PREPARED, to_code=StatusCode.EXECUTING, at=timezone.now())
    for job in (running, ended, refused, cancelled):
        write_log(job, [])
    assert "has written nothing yet" in page(olive, running)
    assert "without having written anything" in page(olive, ended)
    assert "Its container never started" in page(olive, refused)
    assert "without having written anything" in page(olive, cancelled)


def test_trouble_with_the_storage_is_told(olive, settings, tmp_path):
    job = make_job(StatusCode.SUCCEEDED, started_at=timezone.now())
    settings.HIGH_PRIVACY_STORAGE_BASE = tmp_path / "unmounted"
    assert "Is it mounted?" in page(olive, job)
    assert get(olive, job, "job-log-news").status_code == 503
    assert "Is it mounted?" in get(olive, job, "job-log-search", q="x").json()["problem"]
    assert get(olive, job, "job-log-raw").status_code == 404


def test_before_anything_was_ever_stored_a_waiting_job_waits_and_no_more(olive, settings):
    settings.HIGH_PRIVACY_STORAGE_BASE.rmdir()
    assert "has not started" in page(olive, make_job())


def test_the_page_of_a_job_shows_its_log_beside_what_polls(olive):
    job = make_job(StatusCode.EXECUTING)
    write_log(job, ["one"])
    response = olive.get(reverse("job", args=[job.identifier]))
    html = response.content.decode()
    assert numbers(html) == [1]
    assert html.index('id="log"') > html.index('id="live"')
    assert "no-store" in response["Cache-Control"]
    part = poll(olive, reverse("job", args=[job.identifier])).content.decode()
    assert numbers(part) == []


# --- what scripts ask


def test_a_poll_brings_whole_lines_from_the_offset_on_and_then_nothing(olive):
    job = make_job(StatusCode.EXECUTING)
    path = write_log(job, ["one", "two"], end=b"2026-11-26T07:43:00.123456789Z hal")
    response = get(olive, job, "job-log-news", script=True, **{"from": len(stamped("one"))})
    assert numbers(response.content.decode()) == [2]
    end = re.search(r'data-end="(\d+)"', response.content.decode())[1]
    assert get(olive, job, "job-log-news", script=True, **{"from": end}).status_code == 204
    with path.open("ab") as file:
        file.write(b"f\n")
    html = get(olive, job, "job-log-news", script=True, **{"from": end}).content.decode()
    assert numbers(html) == [3]
    assert "half" in html


def test_a_poll_says_whether_to_go_on(olive):
    job = make_job(StatusCode.EXECUTING)
    write_log(job, ["one"], end=b"2026-11-26T07:43:00.123456789Z no newline")
    running = get(olive, job, "job-log-news", script=True, **{"from": len(stamped("one"))})
    assert (running.status_code, running["Log-Ends"], running["Log-Attempt"]) == (204, "no", "1")
    job.move_to(StatusCode.FINALIZING, "Saving.")
    job.move_to(StatusCode.FINALIZED, "Saved.")
    job.move_to(StatusCode.SUCCEEDED, "Done.")
    ended = get(olive, job, "job-log-news", script=True, **{"from": len(stamped("one"))})
    assert (ended.status_code, ended["Log-Ends"]) == (200, "yes")
    assert "no newline" in ended.content.decode()


def test_a_poll_of_a_log_that_is_not_there_yet_is_quiet(olive):
    assert get(olive, make_job(StatusCode.EXECUTING), "job-log-news", script=True).status_code == 204


def test_one_answer_to_a_poll_is_bounded_and_who_is_far_behind_gets_the_newest(olive):
    job = make_job(StatusCode.EXECUTING)
    write_log(job, ["y" * 100] * 5000)
    html = get(olive, job, "job-log-news", script=True, **{"from": 0}).content.decode()
    start, end = (int(re.search(rf'data-{name}="(\d+)"', html)[1]) for name in ("start", "end"))
    assert start == 0
    assert 0 < end <= job_log.POLL_BYTES
    assert "data-last" not in html
    write_log(job, ["y" * 100] * 20_000)
    html = get(olive, job, "job-log-news", script=True, **{"from": end}).content.decode()
    assert numbers(html)[-1] == 20_000
    assert "data-last" in html


def test_a_quiet_poll_asks_only_who_is_there_and_how_the_job_stands(olive, django_assert_num_queries):
    job = make_job(StatusCode.EXECUTING)
    size = write_log(job, ["one"]).stat().st_size
    with django_assert_num_queries(5):  # session, person, two for the permissions, job
        assert get(olive, job, "job-log-news", script=True, **{"from": size}).status_code == 204


def test_the_page_takes_as_many_queries_for_a_long_log_as_for_a_short_one(olive, django_assert_max_num_queries):
    short, long = make_job(StatusCode.SUCCEEDED), make_job(StatusCode.SUCCEEDED, attempt=9)
    write_log(short, ["one"])
    write_log(long, ["one"] * 5000)
    page(olive, short)  # the first look in an hour is noted
    page(olive, long)
    with django_assert_max_num_queries(100) as of_short:
        page(olive, short)
    with django_assert_max_num_queries(len(of_short)):
        page(olive, long, q="one")


def test_scripts_get_pieces_and_the_region_alone(olive):
    job = make_job(StatusCode.EXECUTING)
    write_log(job, ["one"])
    piece = get(olive, job, script=True, line=1).content.decode()
    assert piece.startswith('<div class="log-piece"')
    region = get(olive, job, script=True, region=1).content.decode()
    assert "<html" not in region
    assert 'id="log"' in region


def test_a_search_tells_lines_count_and_how_far_it_came(olive):
    job = make_job(StatusCode.SUCCEEDED)
    size = write_log(job, ["alpha", "beta", "ValueError: x"]).stat().st_size
    answer = get(olive, job, "job-log-search", q="BETA").json()
    assert answer == {"lines": [2], "count": 1, "is_whole": True, "searched_bytes": size, "size": size}
    assert get(olive, job, "job-log-search", q="BETA", case=1).json()["count"] == 0
    assert get(olive, job, "job-log-search", errors=1).json()["lines"] == [3]
    assert "not a regular expression" in get(olive, job, "job-log-search", q="(", regex=1).json()["problem"]


# --- downloads


def test_a_download_is_the_file_byte_for_byte(olive):
    job = make_job(StatusCode.NONZERO_EXIT, attempt=2)
    content = write_log(job, ["<b>\x1b[31m", b"\xff\x00" * 300_000]).read_bytes()
    raw, packed = get(olive, job, "job-log-raw"), get(olive, job, "job-log-gz")
    assert b"".join(raw.streaming_content) == content
    assert gzip.decompress(b"".join(packed.streaming_content)) == content
    assert raw["Content-Length"] == str(len(content))
    for response in (raw, packed):
        assert response["X-Content-Type-Options"] == "nosniff"
        assert response["Content-Disposition"].startswith(f'attachment; filename="{job.identifier}-2.log')
    assert raw["Content-Type"].startswith("text/plain")


# --- the audit


def audited(job) -> list[tuple[str, str]]:
    return list(AuditEntry.objects.about("job", job.identifier).order_by("pk").values_list("actor", "verb"))


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("job-log", {}),
        ("job-log-news", {"from": 0}),
        ("job-log-search", {"q": "row"}),
        ("job-log-search", {"errors": 1}),
    ],
)
def test_whatever_gives_a_log_away_is_noted_once_an_hour_for_each_person(olive, name, parameters):
    job = make_job(StatusCode.SUCCEEDED)
    write_log(job, ["a patient's row"])
    for _ in range(3):
        get(olive, job, name, **parameters)
    get(client_of(OPERATOR, name="oscar"), job, name, **parameters)
    assert audited(job) == [("olive", "view log"), ("oscar", "view log")]


def test_after_an_hour_a_look_is_noted_again(olive, monkeypatch):
    job = make_job(StatusCode.SUCCEEDED)
    write_log(job, ["a patient's row"])
    page(olive, job)
    later = timezone.now() + log_views.NOTED_EVERY
    monkeypatch.setattr(timezone, "now", lambda: later)
    page(olive, job)
    assert audited(job) == [("olive", "view log")] * 2


def test_each_download_is_noted(olive):
    job = make_job(StatusCode.SUCCEEDED)
    write_log(job, ["a patient's row"])
    for name in ("job-log-raw", "job-log-gz"):
        assert b"".join(get(olive, job, name).streaming_content)
    assert audited(job) == [("olive", "download")] * 2


def test_what_gives_nothing_away_is_not_noted(olive):
    job = make_job(StatusCode.EXECUTING)
    page(olive, job)
    get(olive, job, "job-log-news")
    size = write_log(job, ["a patient's row"]).stat().st_size
    get(olive, job, "job-log-news", **{"from": size})
    assert audited(job) == []


def test_what_was_searched_for_is_not_kept(olive):
    job = make_job(StatusCode.SUCCEEDED)
    write_log(job, ["a row"])
    get(olive, job, "job-log-search", q="943 476 5919")
    assert not [
        entry for entry in AuditEntry.objects.values() if "943" in str(entry.values()).replace(job.identifier, "")
    ]

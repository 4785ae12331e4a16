"""What the dashboard costs: server time and queries of each page (P), and many viewers who poll (P2).

P asks each page in this process, with ten thousand jobs, a project.yaml of 1 MB and a log of 100 MB; with a hundred
jobs there must be as many queries. P2 has a real gunicorn, and viewers on 127.0.0.1 who ask as browsers do.
"""

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator

from benchmarks.floor import timed
from benchmarks.installation import ROOT, Installation
from benchmarks.results import Result, Target
from benchmarks.watching import WentWrong, wait_until

FEW, MANY = 100, 10_000
VIEWERS, INTERVAL_SECONDS, WATCHED_SECONDS = 300, 2.0, 20
CHANGE_EVERY_SECONDS = 4.0
LOG_BYTES, PROJECT_BYTES = 100 * 1024**2, 1024**2
HOST = "127.0.0.1"


def each_page(site: Installation, repeat: int) -> Result:
    """Each sample is the slowest page's time; `also` tells them all."""
    from django.conf import settings

    settings.DEBUG = False
    queries: dict[int, dict[str, int]] = {}
    for number in (FEW, MANY):
        with site.emptied():
            pages, client = _filled(number), _client()
            queries[number] = {name: _queries(client, path) for name, path in pages.items()}
            times = {name: _times(client, path, repeat) for name, path in pages.items()}
            floor = _times(client, "/account/", repeat)
    grown = [name for name in pages if queries[MANY][name] > queries[FEW][name]]
    if grown:
        raise WentWrong(f"more jobs need more queries: {', '.join(grown)}")
    also = {f"{name}, s": min(taken) for name, taken in times.items()}
    also |= {f"{name}, queries": float(queries[MANY][name]) for name in pages}
    samples = [max(taken[turn] for taken in times.values()) for turn in range(repeat)]
    return Result(
        "P",
        f"the slowest page, {MANY:,} jobs, project.yaml of 1 MB, log of 100 MB",
        "s",
        samples,
        "the account's page",
        floor,
        (Target("median", 0.3),),
        also=also,
    )


def viewers(site: Installation, repeat: int) -> Result:
    """Each sample is the 95th percentile of all answers of one run."""
    samples, also = [], {}
    for _ in range(repeat):
        with site.emptied():
            _filled(MANY)
            with _gunicorn(site) as port:
                answers = asyncio.run(_all_watch(port, _cookie()))
        times = sorted(seconds for seconds, _ in answers)
        samples.append(times[int(0.95 * len(times))])
        unchanged = sum(status == 304 for _, status in answers)
        failed = sum(status not in (200, 304) for _, status in answers)
        also = {
            "p50, s": times[len(times) // 2],
            "answers a second": len(answers) / WATCHED_SECONDS,
            "of them 304": unchanged / len(answers),
            "failed": float(failed),
        }
    return Result(
        "P2",
        f"95th percentile, {VIEWERS} viewers of the jobs poll every {INTERVAL_SECONDS:g} s (2 workers x 8 threads)",
        "s",
        samples,
        targets=(Target("median", 0.5), Target("failed", 0)),
        also=also,
    )


def _filled(number: int) -> dict[str, str]:
    """The pages to look at, with the showcase and so many jobs more."""
    from jobs.models import Job, JobRequest, ProjectFile
    from jobs.models.job import job_identifier
    from jobs.states import StatusCode
    from tests.browser.pages import FAILED, PAGES
    from tests.factories import make_job
    from tests.showcase import backend, names
    from tests.showcase.rows import write_log

    backend.fill()
    text = "version: '4.0'\nactions:\n" + "  # a comment\n" * (PROJECT_BYTES // 14)
    request = JobRequest.objects.get(identifier=names.WAITS)
    JobRequest.objects.filter(pk=request.pk).update(project_file=ProjectFile.keep(text))
    example = make_job(StatusCode.WAITING_ON_DEPENDENCIES, request)
    columns = {
        field.attname: getattr(example, field.attname) for field in Job._meta.concrete_fields if field.name != "id"
    }
    for start in range(0, number, 500):
        Job.objects.bulk_create(
            Job(**columns | {"action": f"many_{n}", "identifier": job_identifier(request.identifier, f"many_{n}")})
            for n in range(start, min(number, start + 500))
        )
    failed = Job.objects.get(identifier=FAILED.split("/")[2])
    line = "a line that is as long as many others are in the log of a study, and says nothing"
    write_log(failed, [line] * (LOG_BYTES // (len(line) + 32)), error=True)
    wanted = ("jobs", "jobs grouped", "job running", "job failed", "job waiting", "job-log", "requests")
    wanted += ("request running", "request failed", "workspaces", "workspace", "system", "audit", "search")
    return {name: PAGES[name] for name in wanted} | {"request of all": f"/r/{names.WAITS}/"}


def _client():
    from django.apps import apps
    from django.contrib.auth import get_user_model
    from django.test import Client

    from jobs.people.roles import make_roles
    from tests.web import person

    make_roles(apps)  # they were emptied, too
    client = Client(SERVER_NAME=HOST)
    get_user_model().objects.filter(username="bench").delete()
    client.force_login(person("administrator", name="bench"), backend="django.contrib.auth.backends.ModelBackend")
    return client


def _cookie() -> str:
    return f"sessionid={_client().cookies['sessionid'].value}"


def _times(client, path: str, repeat: int) -> list[float]:
    return [timed(lambda: client.get(path)) for _ in range(repeat)]


def _queries(client, path: str) -> int:
    from django.db import connection

    count = 0

    def counted(execute, *arguments):
        nonlocal count
        count += 1
        return execute(*arguments)

    with connection.execute_wrapper(counted):
        response = client.get(path)
    if response.status_code != 200:
        raise WentWrong(f"{path} was answered with {response.status_code}")
    return count


@contextlib.contextmanager
def _gunicorn(site: Installation) -> Iterator[int]:
    import socket

    with socket.create_server((HOST, 0)) as found:
        port = found.getsockname()[1]
    words = [
        "gunicorn",
        "--config",
        "python:jobrunner_site.gunicorn_conf",
        "--bind",
        f"{HOST}:{port}",
        "--threads",
        "8",
    ]
    with (site.folder / "web.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *words],
            env=os.environ | {"DEBUG": "false"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=ROOT,
            start_new_session=True,
        )
    try:
        wait_until(lambda: _listens(port), 30, "the web server's start")
        yield port
    finally:
        process.terminate()
        process.wait(30)


def _listens(port: int) -> bool:
    import socket

    with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
        return True
    return False


async def _all_watch(port: int, cookie: str) -> list[tuple[float, int]]:
    """(seconds, status) of each poll."""
    _, tag = await _poll(port, cookie, "")  # all have opened the page before
    end = time.monotonic() + WATCHED_SECONDS
    watching = [_watch(port, cookie, tag, number, end) for number in range(VIEWERS)]
    found = await asyncio.gather(asyncio.to_thread(_go_on, end), *watching)
    return [answer for answers in found[1:] for answer in answers]


async def _watch(port: int, cookie: str, tag: str, number: int, end: float) -> list[tuple[float, int]]:
    answers = []
    await asyncio.sleep(INTERVAL_SECONDS * number / VIEWERS)
    while time.monotonic() < end:
        began = time.monotonic()
        status, new_tag = await _poll(port, cookie, tag)
        took = time.monotonic() - began
        answers.append((took, status))
        tag = new_tag or tag
        await asyncio.sleep(max(0.0, INTERVAL_SECONDS - took))
    return answers


async def _poll(port: int, cookie: str, tag: str) -> tuple[int, str]:
    headers = [f"Host: {HOST}", f"Cookie: {cookie}", "HX-Request: true", "Connection: close"]
    headers += [f"HX-PTag: {tag}"] if tag else []
    try:
        reader, writer = await asyncio.open_connection(HOST, port)
        writer.write(("GET /jobs/ HTTP/1.1\r\n" + "\r\n".join(headers) + "\r\n\r\n").encode())
        answer = await asyncio.wait_for(reader.read(-1), 30)
        writer.close()
    except (OSError, TimeoutError):
        return 0, ""
    head = answer.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    tags = [line.partition(":")[2].strip() for line in head if line.lower().startswith("hx-ptag:")]
    return int(head[0].split()[1]) if len(head[0].split()) > 1 else 0, tags[0] if tags else ""


def _go_on(end: float) -> None:
    """A job changes now and then, so that everybody has to be shown something new."""
    from django.db import connection

    from jobs.models import Job

    job, number = Job.objects.active().order_by("-pk").first(), 0
    while time.monotonic() < end - CHANGE_EVERY_SECONDS:
        time.sleep(CHANGE_EVERY_SECONDS)
        number += 1
        job.say(f"Still waiting, {number}.")
    connection.close()

"""A page for people at a demonstration: ask for a request, watch its jobs, cancel it. Plain HTML, no scripts.

Looking at the list recomputes the requests' statuses, as looking at the real job-server's pages does. Only forms of
this page itself are obeyed: any other site in the same browser could otherwise ask for jobs.
"""

import os
import subprocess
from collections.abc import Iterable
from datetime import UTC
from html import escape
from urllib.parse import parse_qs

from tests.fakes.messages import HTML, Answer, Received
from tests.fakes.rap_client import AnswerRefused, NoAnswer, RapClient, UpdateStopped
from tests.fakes.server import FakeJobServer
from tests.fakes.store import UNFINISHED, StoredRequest

POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; frame-src 'self'; form-action 'self'; "
    "frame-ancestors 'self'; base-uri 'none'"
)
STYLE = """
:root { color-scheme: light dark; --text: #222; --back: #fff; --line: #ddd;
  --good: #17692a; --bad: #a11; --now: #14509b }
@media (prefers-color-scheme: dark) {
  :root { --text: #ddd; --back: #17191c; --line: #444; --good: #7ccf8c; --bad: #ff8f85; --now: #8ebcf5 }
}
* { box-sizing: border-box }
body { font: 15px/1.45 system-ui, sans-serif; margin: 1.5rem auto; max-width: 62rem; padding: 0 1rem;
  color: var(--text); background: var(--back); overflow-wrap: anywhere }
a { color: var(--now) } form.ask { display: flex; flex-wrap: wrap; gap: .6rem 1rem; align-items: end }
label input { display: block; font: inherit; width: 18rem; max-width: 100% }
label input[type=checkbox] { display: inline; width: auto } iframe { border: 0; width: 100%; height: 75vh }
table { border-collapse: collapse; width: 100%; margin: .3rem 0 1.5rem; overflow-wrap: normal }
td:nth-child(4) { overflow-wrap: anywhere }
th, td { border-bottom: 1px solid var(--line); padding: .25rem .6rem .25rem 0; text-align: left; vertical-align: top }
h1 { font-size: 1.4rem } h2 { font-size: 1rem; margin: 1.2rem 0 0 } h2 form { display: inline; margin-left: 1rem }
.succeeded { color: var(--good) } .failed, .trouble { color: var(--bad) } .running { color: var(--now) }
@media (max-width: 40rem) {
  table, tbody, tr, td { display: block } th { display: none } td { border: 0; padding: 0; overflow-wrap: anywhere }
  tr { border-bottom: 1px solid var(--line); padding: .3rem 0 } label, label input { width: 100% }
  label input[type=checkbox] { width: auto }
}
"""
TROUBLE = (ValueError, NoAnswer, AnswerRefused, UpdateStopped)


class Page:
    """Called with each request; answers those for its four addresses."""

    def __init__(
        self,
        server: FakeJobServer,
        client: RapClient | None,
        defaults: dict[str, str],
        examples: Iterable[tuple[str, str]] = (),
    ):
        """With a client requests and cancellations go to a runner's RAP API. `defaults`: what the form begins with;
        `examples`: words, and what the form holds if somebody clicks on them ("branch=slow&actions=one")."""
        self.server = server
        self.client = client
        self.defaults = defaults
        self.examples = list(examples)

    def __call__(self, received: Received) -> Answer | None:
        actions = {"/": self.show, "/requests": self.show_requests, "/ask": self.ask, "/cancel": self.cancel}
        action = actions.get(received.path)
        if action is None:
            return None
        if action in (self.show, self.show_requests):
            return (
                action(received) if received.method == "GET" else html_page(405, "<p>This page can only be read.</p>")
            )
        if received.method != "POST" or not self.is_own_form(received):
            return html_page(403, "<p>Only the forms of this page are obeyed: open it in your browser.</p>")
        form = {name: values[-1].strip() for name, values in parse_qs(received.body.decode(errors="replace")).items()}
        try:
            return action(form)
        except TROUBLE as trouble:
            return html_page(
                400, f'<p class="trouble">{escape(str(trouble))}</p><p><a href="/" target="_top">Back</a></p>'
            )

    def is_own_form(self, received: Received) -> bool:
        """By the names of this server in Host and Origin: neither another site nor another name of this address."""
        hosts = [f"{name}:{self.server.port}" for name in ("127.0.0.1", "localhost")]
        host = received.headers.get("host")
        return host in hosts and received.headers.get("origin", f"http://{host}") == f"http://{host}"

    def show(self, received: Received) -> Answer:
        """The form, filled in as the address says ("/?branch=slow"), and all requests."""
        filled = self.defaults | {name: value for name, value in received.query.items() if name in self.defaults}
        fields = "".join(text_field(name, value) for name, value in filled.items())
        backends = ", ".join(self.server.store.backends)
        links = "".join(f'<p><a href="/?{escape(form)}">{escape(words)}</a></p>' for words, form in self.examples)
        return html_page(
            200,
            f"<h1>Fake job-server of {escape(self.server.store.era.name)}, backend {escape(backends)}</h1>"
            f'<form class="ask" method="post" action="/ask">{fields}{text_field("commit", "", "newest of the branch")}'
            f"{checkbox('force_run_dependencies', False)}{checkbox('codelists_ok', True)}"
            f"<button>Ask for a request</button></form>{links}"
            '<iframe src="/requests" title="All requests"></iframe>',
        )

    def show_requests(self, received: Received) -> Answer:
        self.server.store.evaluate()
        requests = sorted(self.server.requests.values(), key=lambda each: each.created_at, reverse=True)
        body = "".join(self.request_part(each) for each in requests) or "<p>Nobody has asked for anything yet.</p>"
        return html_page(200, body, ("Refresh", "2"))

    def request_part(self, request: StoredRequest) -> str:
        jobs = self.server.jobs(request.identifier)
        status = self.server.status(request.identifier)
        button = (
            f'<form method="post" action="/cancel"><input type="hidden" name="identifier" '
            f'value="{escape(request.identifier)}"><button>Cancel</button></form>'
        )
        # Before jobs are known the newest job-server refuses to cancel, and older ones would cancel nothing.
        is_cancellable = any(job["status"] in UNFINISHED for job in jobs)
        cancelled = f", cancelled: {', '.join(request.cancelled_actions)}" if request.cancelled_actions else ""
        asked = (
            f"{request.workspace}: {', '.join(request.requested_actions)} of {request.repo_url} at {request.commit[:8]}"
        )
        message = f'<p class="{escape(status)}">{escape(request.status_message)}</p>' if request.status_message else ""
        return (
            f'<h2>{escape(request.identifier)} <span class="{escape(status)}">{escape(status.replace("_", " "))}</span>'
            f"{button if is_cancellable else ''}</h2>"
            f"<div>{escape(asked)}, by {escape(request.created_by or 'nobody')}{escape(cancelled)}</div>{message}"
            f"{jobs_table(jobs)}"
        )

    def ask(self, form: dict[str, str]) -> Answer:
        actions = form.get("actions", "").replace(",", " ").split()
        if not actions:
            raise ValueError("Name at least one action.")
        repo_url, branch = form.get("repo_url", ""), form.get("branch", "")
        request = self.server.new_request(
            actions=actions,
            workspace=form.get("workspace", ""),
            repo_url=repo_url,
            branch=branch,
            commit=form.get("commit") or newest_commit(repo_url, branch),
            force_run_dependencies="force_run_dependencies" in form,
            codelists_ok="codelists_ok" in form,
        )
        if self.client:
            self.client.create(request)
        else:
            self.server.store.add(request)
        return see_other("/")

    def cancel(self, form: dict[str, str]) -> Answer:
        identifier = form.get("identifier", "")
        if identifier not in self.server.requests:
            raise ValueError("There is no such request any more.")
        if self.client:
            self.client.cancel(identifier)
        else:
            self.server.cancel(identifier)
        return see_other("/requests")


def newest_commit(repo_url: str, branch: str) -> str:
    """Of the branch, as git says. Raises ValueError."""
    try:
        found = subprocess.run(
            ["git", "ls-remote", "--", repo_url, f"refs/heads/{branch}"],
            env=os.environ | {"GIT_TERMINAL_PROMPT": "0"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=20,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ValueError(f"git does not tell the newest commit: {error}") from error
    if found.returncode or not found.stdout:
        raise ValueError(f"There is no branch {branch!r} in {repo_url!r}. {found.stderr.strip()}".strip())
    return found.stdout.split()[0]


def jobs_table(jobs: list[dict]) -> str:
    if not jobs:
        return ""
    return f"<table><tr><th>Job<th>Status<th>Code<th>Message<th>Updated{''.join(map(job_row, jobs))}</table>"


def job_row(job: dict) -> str:
    updated = f"{job['updated_at'].astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if job["updated_at"] else ""
    cells = (job["action"], job["status"], job["status_code"], job["status_message"], updated)
    return f'<tr class="{escape(job["status"])}">' + "".join(f"<td>{escape(cell)}" for cell in cells)


def text_field(name: str, value: str, hint: str = "") -> str:
    return (
        f'<label>{name.replace("_", " ")} <input name="{name}" value="{escape(value)}" placeholder="{escape(hint)}">'
        "</label>"
    )


def checkbox(name: str, is_on: bool) -> str:
    return f'<label><input type="checkbox" name="{name}"{" checked" if is_on else ""}> {name.replace("_", " ")}</label>'


def html_page(status: int, body: str, *headers: tuple[str, str]) -> Answer:
    head = '<meta name="viewport" content="width=device-width, initial-scale=1"><title>Fake job-server</title>'
    page = f'<!DOCTYPE html><html lang="en">{head}<style>{STYLE}</style><body>{body}</html>'
    return Answer(status, page.encode(errors="replace"), HTML, (("Content-Security-Policy", POLICY), *headers))


def see_other(location: str) -> Answer:
    return Answer(303, b"", HTML, (("Location", location),))

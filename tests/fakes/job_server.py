"""`python -m tests.fakes.job_server`: the fake job-server as a program with a page for people, for demonstrations.

    python -m tests.fakes.job_server --port 8001 --backend test --token secret --repo-url $PWD/demo/repo

It is polled; with `--runner-url` it calls the runner's RAP API instead, as today's job-servers do. Tests import
FakeJobServer from here.
"""

import argparse
import contextlib
import signal
import sys
import threading

from tests.fakes.eras import ERAS, NEWEST
from tests.fakes.page import Page
from tests.fakes.rap_client import AnswerRefused, NoAnswer, RapClient, UpdateStopped
from tests.fakes.server import FakeJobServer

SECONDS_BETWEEN_LOOKS = 0.2


def main() -> None:
    options = arguments()
    server = FakeJobServer(options.era, {options.backend: options.token}, options.port)
    client = server.rap_client(options.runner_url, options.runner_token) if options.runner_url else None
    defaults = {name: getattr(options, name) for name in ("workspace", "repo_url", "branch", "actions")}
    server.page = Page(server, client, defaults, options.example)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with contextlib.ExitStack() as until_the_end:
        try:
            until_the_end.enter_context(server)
        except OSError as error:
            sys.exit(f"The port {options.port} cannot be used ({error.strerror}): choose another with --port.")
        way = f"calls the runner at {client.url}" if client else f"is polled at {server.url}"
        print(f"A fake job-server of {options.era} is on http://127.0.0.1:{server.port}/ and {way}")
        print("Stop it with Ctrl-C; it forgets everything then.", flush=True)
        if client and options.ask:
            wait_for_runner(server, client, stop)
        if options.ask and not stop.is_set():
            server.page.ask(defaults | {"codelists_ok": "on"})
        while not stop.wait(options.poll_seconds):
            if client:
                ask_runner(client)


def wait_for_runner(server: FakeJobServer, client: RapClient, stop: threading.Event) -> None:
    """Until both of its processes have shown that they live, or a stop: before that it could only refuse a request."""
    said = ""
    while not stop.is_set() and server.store.backends[server.backend].last_seen_at is None:
        try:
            client.backend_status()
        except (NoAnswer, AnswerRefused, UpdateStopped) as trouble:
            if str(trouble) != said:
                said = str(trouble)
                print(f"Waiting for the runner: {said}", flush=True)
        stop.wait(SECONDS_BETWEEN_LOOKS)


def ask_runner(client: RapClient) -> None:
    """One turn of what the job-server's status loop and its cron do; what goes wrong is said, and tried again."""
    for question in (client.poll_status, client.backend_status):
        try:
            question()
        except (NoAnswer, AnswerRefused, UpdateStopped) as trouble:
            print(f"{question.__name__}: {trouble}", flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fakes.job_server", description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=8001, help="0 takes a free one (default: %(default)s)")
    parser.add_argument("--era", choices=ERAS, default=NEWEST, help="which job-server to be (default: %(default)s)")
    parser.add_argument("--backend", default="test", help="slug of the backend (default: %(default)s)")
    parser.add_argument("--token", default="token-of-test", help="the backend's token (default: %(default)s)")
    parser.add_argument(
        "--runner-url", help="call this RAP API, which ends in /controller/v1/, instead of being polled"
    )
    parser.add_argument("--runner-token", default="", help="for the RAP API")
    parser.add_argument("--poll-seconds", type=float, default=2, help="between two questions to the RAP API")
    form = parser.add_argument_group("what the page's form begins with")
    form.add_argument("--workspace", default="demo")
    form.add_argument("--repo-url", default="https://github.com/opensafely/study")
    form.add_argument("--branch", default="main")
    form.add_argument("--actions", default="run_all")
    form.add_argument(
        "--example",
        action="append",
        default=[],
        nargs=2,
        metavar=("WORDS", "FORM"),
        help="a link on the page that fills the form in: 'A slow one' 'branch=slow&actions=run_all'",
    )
    form.add_argument("--ask", action="store_true", help="ask for this once at the start")
    options = parser.parse_args()
    if options.runner_url and options.era != NEWEST:
        parser.error(f"only the job-server of {NEWEST} calls a runner: leave --era out, or --runner-url")
    if options.runner_url and not options.runner_url.endswith("/"):
        parser.error("--runner-url must end in a slash, as the job-server's own setting must")
    if not options.token:
        parser.error("give a --token: an empty one would list the requests of all backends")
    return options


if __name__ == "__main__":
    main()

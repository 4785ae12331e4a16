"""A runner's RAP API that answers what it is told, for the tests of the fake job-server's calling side."""

import contextlib
import json
from collections.abc import Callable, Iterator

from tests.fakes.job_server import FakeJobServer
from tests.fakes.messages import Answer, Delivery, Received
from tests.fakes.rap_client import RapClient
from tests.fakes.transport import Listener


class ScriptedRunner:
    def __init__(self):
        self.calls: list[Received] = []
        self.answer = Answer(500)
        self.at_each_call: Callable[[], object] = lambda: None  # between the question and the answer

    def __call__(self, received: Received) -> Answer:
        self.calls.append(received)
        self.at_each_call()
        return self.answer

    def will_answer(self, response: dict | None) -> None:
        """In the shape of the recordings; None, or one without a status, drops the connection."""
        if response is None or response.get("status") is None:
            self.answer = Answer(200, delivery=Delivery.DROP)
            return
        body = json.dumps(response["json"]) if "json" in response else response["text"]
        self.answer = Answer(response["status"], body.encode(), response.get("content-type", "application/json"))


@contextlib.contextmanager
def scripted_runner(server: FakeJobServer) -> Iterator[tuple[ScriptedRunner, RapClient]]:
    """The runner, and the part of the job-server that calls it."""
    runner = ScriptedRunner()
    listener = Listener(runner, port=0, keep_alive=True, tls=None)
    try:
        yield runner, server.rap_client(f"http://127.0.0.1:{listener.port}/controller/v1/", "<rap-token>")
    finally:
        listener.close()

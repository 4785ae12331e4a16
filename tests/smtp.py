"""A mail server of the tests' own: takes letters, or refuses them, and keeps what it got."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage

from tests.ports import HOST


class MailServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self):
        super().__init__((HOST, 0), _Talk)
        self.letters: list[EmailMessage] = []
        self.recipients: list[str] = []
        self.refuses = self.refuses_once = False

    @property
    def port(self) -> int:
        return self.server_address[1]


class _Talk(socketserver.StreamRequestHandler):
    """RFC 5321, as little of it as a client needs."""

    def handle(self) -> None:
        self._say("220 here")
        while line := self.rfile.readline().decode().strip():
            word = line.split(":")[0].split(" ")[0].upper()
            if word == "QUIT":
                self._say("221 bye")
                return
            if word == "RCPT":
                self.server.recipients.append(line.partition("<")[2].partition(">")[0])
            if word == "DATA":
                self._take()
            else:
                self._say("554 no mail today" if word == "MAIL" and self._is_refused() else "250 fine")

    def _is_refused(self) -> bool:
        is_refused = self.server.refuses or self.server.refuses_once
        self.server.refuses_once = False
        return is_refused

    def _take(self) -> None:
        self._say("354 go on")
        lines = []
        while (line := self.rfile.readline().rstrip(b"\r\n")) != b".":
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        self.server.letters.append(message_from_bytes(b"\n".join(lines), policy=policy.default))
        self._say("250 taken")

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


@contextmanager
def mail_server() -> Iterator[MailServer]:
    with MailServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join(10)

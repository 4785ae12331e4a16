"""A real engine with a container that hangs: a Unix socket before it that never passes on questions about that one."""

import contextlib
import re
import select
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

from tests import engine

_ABOUT_ONE = re.compile(rb"^[A-Z]+ (?:/v[\d.]+)?/containers/([^/? ]+)")


class HangingEngine:
    """`hang` and `let_go` are what a test does; `questions` are about those that hang, however they were named."""

    def __init__(self, path: Path):
        self.address = f"unix://{path}"
        self.questions: list[str] = []
        self._hanging: set[str] = set()
        self._ended = threading.Event()
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        self._server.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def hang(self, name: str) -> None:
        """From now on; what is asked already is answered."""
        with engine.sdk() as client:
            self._hanging |= {name, client.inspect_container(name)["Id"]}

    def let_go(self) -> None:
        """What hangs stays without an answer, as its asker has given up; later questions are answered."""
        self._hanging.clear()

    def close(self) -> None:
        self._ended.set()
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                asker, _ = self._server.accept()
                threading.Thread(target=self._serve, args=(asker,), daemon=True).start()

    def _serve(self, asker: socket.socket) -> None:
        """Pass on both ways until one side ends. A question's head comes in one piece, as all askers here send it."""
        with contextlib.suppress(OSError), asker, socket.socket(socket.AF_UNIX) as real:
            real.connect(engine.BASE_URL.removeprefix("unix://"))
            while not self._ended.is_set():
                for side in select.select([asker, real], [], [], 0.1)[0]:
                    data = side.recv(1 << 16)
                    if not data:
                        return
                    if side is asker and self._is_about_one_that_hangs(data):
                        self._wait_for_the_end(asker)
                        return
                    (real if side is asker else asker).sendall(data)

    def _is_about_one_that_hangs(self, data: bytes) -> bool:
        found = _ABOUT_ONE.match(data)
        name = found[1].decode() if found else ""
        if name not in self._hanging:
            return False
        self.questions.append(data.partition(b"\r\n")[0].decode())
        return True

    def _wait_for_the_end(self, asker: socket.socket) -> None:
        while not self._ended.is_set():
            if select.select([asker], [], [], 0.1)[0] and not asker.recv(1 << 16):
                return


@contextlib.contextmanager
def hanging_engine(folder: Path) -> Iterator[HangingEngine]:
    hanging = HangingEngine(folder / "hanging.sock")
    try:
        yield hanging
    finally:
        hanging.close()

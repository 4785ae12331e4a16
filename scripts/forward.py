"""Passes connections to a TCP port on to a Unix socket (scripts/serve_for_windows.sh): socat is not everywhere.

    forward.py 127.0.0.1 2375 /var/run/docker.sock [ALLOWED_ADDRESS]

Whoever reaches an engine is root on its machine. So it listens where it is told and nowhere else, serves one address
if one is named, and ends with its parent. A web page that is open on the same machine may call any address of it, so
what a browser sends is refused: it says from where (`Origin`) or by which name (`Host`).
"""

import contextlib
import ctypes
import os
import re
import signal
import socket
import sys
import threading

PIECE = 65536
LONGEST_HEAD = 65536
# As Docker's clients call a port: by an address, or a name of this machine or network. That of a page has a dot, and
# its owner's name server may lead it here.
HOST = re.compile(rb"([\w-]+|[\w.-]+\.localhost|[0-9.]+|\[[0-9a-fA-F:.]+\])?(:\d+)?")


def head_of(client: socket.socket) -> bytes:
    """The first request's line and headers, with what came along; as much as came if there is no end of them."""
    head = b""
    while b"\r\n\r\n" not in head and len(head) < LONGEST_HEAD and (piece := client.recv(PIECE)):
        head += piece
    return head


def is_of_a_browser(head: bytes) -> bool:
    """Or has no end, as no call of Docker's has: what it says of itself is not known then."""
    if b"\r\n\r\n" not in head:
        return True
    for line in head.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]:
        name, _, value = (part.strip() for part in line.partition(b":"))
        if name.lower() in (b"origin", b"referer", b"sec-fetch-site"):
            return True
        if name.lower() == b"host" and not HOST.fullmatch(value):
            return True
    return False


def pass_on(source: socket.socket, target: socket.socket) -> None:
    """One direction until its end, which is told to the other side: `docker attach` closes its input first."""
    with contextlib.suppress(OSError):
        while piece := source.recv(PIECE):
            target.sendall(piece)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def serve(client: socket.socket, path: str) -> None:
    with client, socket.socket(socket.AF_UNIX) as engine:
        if is_of_a_browser(head := head_of(client)):
            print("refused a call of a web page", file=sys.stderr, flush=True)
            client.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return
        try:
            engine.connect(path)
            engine.sendall(head)
        except OSError as error:
            print(f"the engine's socket {path} cannot be reached: {error.strerror}", file=sys.stderr, flush=True)
            return
        there = threading.Thread(target=pass_on, args=(client, engine), daemon=True)
        there.start()
        pass_on(engine, client)
        there.join()


def main(host: str, port: int, path: str, allowed: str = "") -> None:
    parent = os.getppid()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)
    if os.getppid() != parent:
        return
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family) as listener:
        print(f"listening on {host} {listener.getsockname()[1]}", flush=True)
        while True:
            client, address = listener.accept()
            if allowed and address[0] != allowed:
                print(f"refused a connection from {address[0]}", file=sys.stderr, flush=True)
                client.close()
                continue
            threading.Thread(target=serve, args=(client, path), daemon=True).start()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])

"""Passes connections to a TCP port on to a Unix socket (scripts/serve_for_windows.sh): socat is not everywhere.

    forward.py 127.0.0.1 2375 /var/run/docker.sock [ALLOWED_ADDRESS]

Whoever reaches an engine is root on its machine. So it listens where it is told and nowhere else, serves one address
if one is named, and ends with its parent.
"""

import contextlib
import ctypes
import os
import signal
import socket
import sys
import threading

PIECE = 65536


def pass_on(source: socket.socket, target: socket.socket) -> None:
    """One direction until its end, which is told to the other side: `docker attach` closes its input first."""
    with contextlib.suppress(OSError):
        while piece := source.recv(PIECE):
            target.sendall(piece)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def serve(client: socket.socket, path: str) -> None:
    with client, socket.socket(socket.AF_UNIX) as engine:
        try:
            engine.connect(path)
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

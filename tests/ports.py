"""Ports of this machine that nobody else gets between finding and using them, or while a server is down.

A port that is only looked up is free again at once: any connection may take it as its own end, even one to that very
port. One that is bound is kept, and Linux lets a server listen on it as long as both sides allow that addresses are
used again, as ours, gunicorn's and the standard library's do.
"""

import contextlib
import socket

HOST = "127.0.0.1"


def hold_port(port: int = 0) -> socket.socket:
    """A socket that keeps a port without listening until it is closed: whoever calls is refused. 0 takes a free one."""
    with contextlib.ExitStack() as unless_bound:
        holder = unless_bound.enter_context(socket.socket())
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((HOST, port))
        unless_bound.pop_all()
    return holder


def port_of(holder: socket.socket) -> int:
    return holder.getsockname()[1]

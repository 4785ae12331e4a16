"""The process that does chores: one cluster of django-q2, ended with its parent however that comes about.

Facts behind the lines, measured: the workers of a killed cluster live on and serve the queue, so each process that is
forked here asks the kernel to be killed with its parent. SIGTERM to the whole group deadlocks the cluster, so only this
process is ever signalled, and it leads a group of its own, where Ctrl-C does not reach. A worker that is killed while
it waits for work takes the lock of the cluster's pipe with it, and its successor waits for ever; so whenever one of
them ends, all are started again.
"""

import ctypes
import logging
import os
import signal
import threading
import time
from pathlib import Path
from typing import NoReturn

from django.db import DatabaseError, connections
from django_q.cluster import Cluster

from jobs.models import ChoreRun
from jobs.service import stop_when_input_ends

log = logging.getLogger(__name__)

_PR_SET_PDEATHSIG = 1
# After the wish to stop: a worker in the middle of a chore is not waited for longer, its row waits for the next one.
STOP_SECONDS = 4.0
LOOK_SECONDS = 0.5


def run_cluster() -> None:
    """Until SIGTERM, or until standard input ends. The end takes STOP_SECONDS at most, less if nothing is at work."""
    parent: list[int] = []
    os.register_at_fork(before=lambda: parent.append(os.getpid()), after_in_child=lambda: _die_with_parent(parent[-1]))
    stop_when_input_ends()
    cluster = Cluster()
    is_over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: is_over.set())
    connections.close_all()  # nothing that is open may be shared with what is forked now
    try:
        cluster.start()
    except RuntimeError as error:
        log.error("chores: %s", error)
        raise SystemExit(1) from error
    seen: set[int] = set()
    while not is_over.wait(LOOK_SECONDS):
        alive = _children_of(cluster.sentinel.pid)
        if seen - alive or not cluster.sentinel.is_alive():
            log.error("one of the processes that do chores has ended: all of them are started again")
            _leave(1)
        seen = alive
    _end(cluster)


def _end(cluster: Cluster) -> None:
    cluster.stop_event.set()
    deadline = time.monotonic() + STOP_SECONDS
    while cluster.sentinel.is_alive() and time.monotonic() < deadline and _is_at_work():
        time.sleep(0.1)
    _leave(0)


def _leave(code: int) -> NoReturn:
    """Python would wait for the guard for ever; the kernel ends it, and all that it has forked, with this process."""
    logging.shutdown()
    os._exit(code)


def _children_of(pid: int) -> set[int]:
    """Those that live. Empty where the system does not tell."""
    try:
        return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}
    except OSError:
        return set()


def _is_at_work() -> bool:
    """Idle workers need no farewell."""
    try:
        return ChoreRun.objects.at_work().exists()
    except DatabaseError:
        return False


def _die_with_parent(parent: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it has died in between
        os._exit(1)

"""Marks of processes and boots: one process is told from every other, also from one that has its number again."""

import os
import socket
import subprocess
import sys

from jobs import processes
from jobs.processes import boot_id, is_alive, mark_of, this_process
from tests.site import wait_until


def test_the_kernel_names_this_boot(monkeypatch, tmp_path):
    assert len(boot_id()) == 36 and boot_id() == boot_id()
    monkeypatch.setattr(processes, "BOOT_ID", tmp_path / "none")
    assert boot_id() == ""


def test_a_process_that_lives_is_alive_and_one_that_has_ended_is_not():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    mark = mark_of(child.pid)
    assert is_alive(mark) and is_alive(this_process())
    child.kill()
    # Its parent has not asked for its end yet: it is there, and does nothing any more.
    wait_until(lambda: not is_alive(mark), 10, "the end of the child")
    child.communicate()
    assert not is_alive(mark)


def test_the_same_number_is_another_process_after_another_beginning_or_boot():
    host, pid, began = this_process().split(" ")
    boot, ticks = began.split("-")
    assert not is_alive(f"{host} {pid} {boot}-{int(ticks) + 1}")
    assert not is_alive(f"{host} {pid} 00000000-{ticks}")


def test_of_another_host_nobody_here_can_know_and_the_caller_says_what_to_think():
    mark = f"not-{socket.gethostname()} 1 x-1"
    assert is_alive(mark) and is_alive(mark, elsewhere=True) and not is_alive(mark, elsewhere=False)


def test_what_is_no_mark_lives_nowhere():
    assert not any(is_alive(mark) for mark in ("", "host", f"{socket.gethostname()} x y", f"{socket.gethostname()} 1"))


def test_where_the_system_tells_nothing_a_process_counts_as_gone():
    assert not is_alive(f"{socket.gethostname()} {os.getpid()} ")

"""A process that must not live on ends also where nobody takes its last words."""

import os
import subprocess
import sys

import pytest

from tests.site import ROOT

ENDING = """
import logging, os, threading, time
from jobs.ending import end_at_once
logging.basicConfig()
log = logging.getLogger("test")
threading.Thread(target=time.sleep, args=(600,)).start()
{before}
end_at_once(4, lambda: log.critical("the last words"))
"""
FULL = """
os.set_blocking(2, False)
try:
    while True: os.write(2, b"x" * 4096)
except BlockingIOError: pass
os.set_blocking(2, True)
"""
HELD = """
handler = logging.getLogger().handlers[0]
threading.Thread(target=lambda: (handler.acquire(), held.set(), time.sleep(600)), daemon=True).start()
"""


@pytest.mark.parametrize(
    "before",
    ["", FULL, "held = threading.Event()" + HELD + "held.wait()"],
    ids=["to a log", "to a pipe that nobody reads", "while another thread holds the log"],
)
def test_the_end_comes_whether_or_not_its_words_are_taken(before):
    """A pipe whose reader stands still: who has lost its lock must not work on beside the next one."""
    reader, writer = os.pipe()
    with subprocess.Popen([sys.executable, "-c", ENDING.format(before=before)], stderr=writer, cwd=ROOT) as process:
        os.close(writer)
        try:
            assert process.wait(30) == 4
        finally:
            process.kill()
    said = os.read(reader, 65536)
    os.close(reader)
    assert before or b"the last words" in said

"""Which process, and which boot, is which: marks that name one for good, though the system uses numbers again."""

import os
import socket
from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> str:
    """Another one after each boot; empty where the kernel does not say. The same inside of containers."""
    try:
        return BOOT_ID.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def this_process() -> str:
    """Host, number and beginning of the calling process; of no other process, not even after a reboot."""
    return mark_of(os.getpid())


def mark_of(pid: int) -> str:
    return f"{socket.gethostname()} {pid} {_began(pid)}"


def is_alive(mark: str, *, elsewhere: bool = True) -> bool:
    """Whether the process of that mark still lives; `elsewhere` is the answer for those of other hosts."""
    host, _, number = mark.partition(" ")
    number, _, began = number.partition(" ")
    if not number.isdigit():
        return False
    if host != socket.gethostname():
        return elsewhere
    return began != "" and _began(int(number)) == began


def _began(pid: int) -> str:
    """In ticks since the boot, with the boot's mark; empty if there is no such process, or no /proc."""
    try:
        # The name in parentheses may hold blanks and parentheses.
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return "" if fields[0] in "ZX" else f"{boot_id()[:8]}-{fields[19]}"
    except (OSError, IndexError):
        return ""

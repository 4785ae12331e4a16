"""What docs/windows.md says of platforms: which parts need nothing but Python, and what the others say there."""

import re
import subprocess
import sys

from tests.site import ROOT

# Windows' Python has none of these.
_AS_ON_WINDOWS = """
import os, sys
for name in "fcntl grp pwd resource syslog termios tty".split():
    sys.modules[name] = None
for name in "getuid getgid fork setsid killpg register_at_fork sendfile copy_file_range mkfifo O_NOFOLLOW".split():
    delattr(os, name)
sys.path.insert(0, ".")
"""


def as_on_windows(program: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", _AS_ON_WINDOWS + program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def documented() -> list[str]:
    text = (ROOT / "docs" / "windows.md").read_text()
    [line] = re.findall(r"^Without Linux: (.*)$", text, flags=re.MULTILINE)
    return re.findall(r"`([a-z_.]+)`", line)


def test_the_parts_that_are_documented_to_need_no_linux_can_be_imported_without_it():
    names = documented()
    assert len(names) > 5
    done = as_on_windows("import importlib\n" + "".join(f"importlib.import_module({name!r})\n" for name in names))
    assert done.returncode == 0, done.stderr


def test_a_project_is_read_without_linux():
    done = as_on_windows(
        "from pathlib import Path\nfrom jobs.project import load_project\n"
        "print(sorted(load_project(Path('demo/study/project.yaml').read_text(encoding='utf-8')).actions)[0])"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_manage_py_says_on_another_system_that_it_needs_linux():
    done = subprocess.run(
        [sys.executable, "-c", _AS_ON_WINDOWS + "import manage\nsys.argv = ['manage.py', 'check']\nmanage.main()"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False, env={"DOTENV_FILE": ""},
    )  # fmt: skip
    assert done.returncode == 1
    assert "needs Linux" in done.stderr and "docs/windows.md" in done.stderr and "Traceback" not in done.stderr

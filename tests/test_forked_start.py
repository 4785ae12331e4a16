"""The forked `manage.py` of tests is what a real start would be."""

import os
import signal
import subprocess
import sys

import pytest

from tests.forked_start import OPTIONS, Forked, may_fork
from tests.site import ROOT, Site, wait_until


@pytest.fixture
def environment(tmp_path):
    return Site(tmp_path, EXECUTOR="fake").environment


def real(arguments: list[str], environment: dict) -> tuple[int, str]:
    command = [sys.executable, *OPTIONS, str(ROOT / "manage.py"), *arguments]
    pipe = subprocess.PIPE
    done = subprocess.run(command, env=environment, stdout=pipe, stderr=subprocess.STDOUT, text=True, check=False)
    return done.returncode, done.stdout


@pytest.mark.slow_test
@pytest.mark.parametrize(
    "arguments",
    [
        ["migrate", "--verbosity=0"],
        ["nosuch"],
        ["status", "--nosuch"],
        ["check"],
        ["help", "run"],
        ["status", "--json"],
    ],
    ids=" ".join,
)
def test_it_says_and_ends_as_a_real_one(environment, arguments):
    process = Forked(arguments, environment, subprocess.DEVNULL)
    said, _ = process.communicate(timeout=60)
    assert (process.returncode, said) == real(arguments, environment)


def modules_after(code: str, environment: dict) -> set[str]:
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{code}\nprint(*sorted(sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    return set(done.stderr.split())


@pytest.mark.slow_test
def test_nothing_is_imported_beforehand_that_a_command_could_fail_for_want_of(environment):
    """A module that only the first process has imported would hide a missing import of ours."""
    beforehand = modules_after(
        "from tests.forked_start import LIBRARIES\nfor each in LIBRARIES: __import__(each)", environment
    )
    real = modules_after("sys.argv = ['manage.py', 'help', 'flags']\nimport manage\nmanage.main()", environment)
    ours = {"tests", "tests.forked_start"}
    assert beforehand - real - ours == set()


def test_it_is_a_process_of_its_own_that_can_be_killed_with_its_group_at_once(environment):
    for _ in range(5):
        process = Forked(["run"], environment, subprocess.DEVNULL)
        assert os.getpgid(process.pid) == os.getsid(process.pid) == process.pid != os.getpgid(0)
        assert process.poll() is None
        os.killpg(process.pid, signal.SIGKILL)
        assert process.wait(10) == -signal.SIGKILL
        process.stdout.close()


def test_what_an_interpreter_takes_in_as_it_starts_is_not_forked(environment):
    assert may_fork(environment) or any(name.startswith("COVERAGE") for name in os.environ)
    for name, value in {"PYTHONPATH": "/x", "TZ": "Asia/Tokyo", "LC_ALL": "C", "LANG": "xx_XX"}.items():
        assert not may_fork({**environment, name: value})


@pytest.mark.slow_test
def test_input_comes_and_its_end_is_told(tmp_path):
    with Site(tmp_path, EXECUTOR="fake") as site:
        process = site.start("run", "--until-input-ends", stdin=subprocess.PIPE)
        wait_until(lambda: site.query("SELECT 1 FROM jobs_heartbeat"), what="the first turn")
        process.stdin.close()
        assert process.wait(30) == 0

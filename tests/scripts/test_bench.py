"""`make bench`: what it is told, what it keeps, and that it leaves nothing behind. No figure is judged here."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from tests.engine import demo_images
from tests.site import ROOT, wait_until

SCRIPTS = ROOT / "scripts"
KEYS = ["id", "what", "unit", "median", "min", "max", "floor", "ratio", "n"]


@pytest.fixture
def benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from benchmarks import catalogue, noise, report, results

    class Modules:
        pass

    Modules.catalogue, Modules.noise, Modules.report, Modules.results = catalogue, noise, report, results
    return Modules


@contextlib.contextmanager
def started_bench(work, **variables: str) -> Iterator[subprocess.Popen]:
    """`make bench` with a folder to work in; what still runs of it when the block ends is killed."""
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "DOCKER_HOST") if name in os.environ}
    process = subprocess.Popen(
        [sys.executable, str(SCRIPTS / "bench.py")],
        env=environment | {"TMPDIR": str(work), "DOTENV_FILE": ""} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def bench(work, **variables: str) -> tuple[int, str]:
    """Its exit code and what it printed."""
    with started_bench(work, **variables) as process:
        output, _ = process.communicate(timeout=120)
    return process.returncode, output


@pytest.fixture
def engine():
    client = docker.APIClient(version="auto")
    yield client
    client.close()


def containers_of(engine, run: str) -> list:
    """What the run with this folder's name has on the engine, through the job runner or by hand."""
    labels = (f"org.jobrunner.instance={run}", f"org.jobrunner.bench={run}")
    return [found for label in labels for found in engine.containers(all=True, filters={"label": [label]})]


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"ONLY": "A,Q"}, "unknown: Q; there are A, B20"),
        ({"REPEAT": "0"}, "a number from 1 on is wanted"),
        ({"REPEAT": "often"}, "a number from 1 on is wanted"),
        ({"OUT": "/nowhere/bench.json"}, "the folder /nowhere does not exist"),
    ],
)
def test_a_wrong_variable_is_refused_before_anything_is_measured(tmp_path, variables, said):
    code, output = bench(tmp_path / "work", **variables)
    assert code == 2
    assert said in output
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize(("argument", "code"), [("--help", 0), ("ONLY=A", 2)])
def test_an_argument_is_answered_with_help_and_measures_nothing(argument, code):
    done = subprocess.run(
        [sys.executable, str(SCRIPTS / "bench.py"), argument], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, "ONLY=A,G measures some cases" in done.stdout) == (code, True)
    assert "floor" not in done.stdout


def test_cases_are_chosen_by_name_in_any_spelling_and_keep_their_own_order(benchmarks):
    assert benchmarks.catalogue.chosen(" g,a ") == ["A", "G"]
    assert benchmarks.catalogue.chosen("") == list(benchmarks.catalogue.CASES)


def test_an_interruption_that_the_interpreter_dropped_is_raised_again(benchmarks):
    from benchmarks import latency, watching

    class Dropping:
        def __del__(self) -> None:
            with contextlib.suppress(SystemExit):  # as the interpreter does, with a note on stderr
                watching.interruption.handle(signal.SIGINT, None)

    done = []
    with pytest.raises(SystemExit) as end:
        latency.alternate(3, lambda: done.append(Dropping()), done.clear)
    assert (end.value.code, done) == (130, [])


def test_a_result_is_kept_with_its_median_spread_floor_and_ratio(benchmarks, tmp_path):
    result = benchmarks.results.Result("A", "a job", "s", [0.4, 0.30000001, 0.9], "by hand", [0.2, 0.1, 0.3])
    benchmarks.report.write(tmp_path / "kept.json", [result])
    (kept,) = json.loads((tmp_path / "kept.json").read_text())
    assert list(kept) == KEYS
    assert kept == {
        "id": "A",
        "what": "a job",
        "unit": "s",
        "median": 0.4,
        "min": 0.3,
        "max": 0.9,
        "floor": 0.2,
        "ratio": 2.0,
        "n": 3,
    }


def test_a_result_without_a_floor_has_no_ratio_and_meets_no_target_for_it(benchmarks):
    result = benchmarks.results.Result("X", "something", "s", [1.0])
    assert result.as_json()["floor"] is result.as_json()["ratio"] is None
    assert not result.meets(benchmarks.results.Target("ratio", 2))


def test_a_target_is_met_by_ratio_median_or_another_figure_of_the_case(benchmarks):
    Result, Target = benchmarks.results.Result, benchmarks.results.Target
    result = Result("E1", "a turn", "s", [0.02], "a call", [0.01], also={"engine calls": 1})
    assert result.meets(Target("ratio", 2)) and not result.meets(Target("ratio", 1.9))
    assert result.meets(Target("median", 0.02)) and not result.meets(Target("median", 0.01))
    assert result.meets(Target("engine calls", 1)) and not result.meets(Target("engine calls", 0))


def test_a_missed_target_and_a_noisy_run_are_said(benchmarks, capsys):
    Result, Target = benchmarks.results.Result, benchmarks.results.Target
    result = Result("A", "a job", "s", [0.5], "by hand", [0.1], (Target("ratio", 2),))
    console = benchmarks.report.console()
    benchmarks.report.show(console, result, benchmarks.noise.Load(0.4))
    benchmarks.report.summary(console, [(result, benchmarks.noise.Load(0.4))])
    printed = capsys.readouterr().out
    assert "ratio ≤ 2: MISSED" in printed
    assert "others used 40%" in printed


def test_work_of_this_process_and_its_children_is_not_foreign(benchmarks):
    busy = [sys.executable, "-c", "import time\nwhile time.process_time() < 0.5: pass"]
    processes = dict(benchmarks.noise._processes())
    assert benchmarks.noise._is_ours(os.getpid(), processes)
    assert not benchmarks.noise._is_ours(os.getppid(), processes)
    with subprocess.Popen(busy) as child:
        assert benchmarks.noise._is_ours(child.pid, dict(benchmarks.noise._processes()))


@pytest.mark.needs_docker
@pytest.mark.slow_test
def test_a_case_is_measured_kept_and_cleaned_up(tmp_path):
    demo_images()
    code, output = bench(tmp_path / "work", ONLY="A", REPEAT="1", OUT=str(tmp_path / "kept.json"))
    assert code == 0, output
    (kept,) = json.loads((tmp_path / "kept.json").read_text())
    assert set(KEYS) <= set(kept)
    assert (kept["id"], kept["n"]) == ("A", 1)
    assert kept["floor"] > 0 and 0 < kept["min"] <= kept["median"] <= kept["max"]
    assert list((tmp_path / "work").iterdir()) == []


@pytest.mark.needs_docker
@pytest.mark.slow_test
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_ends_and_removes_all_that_it_started(tmp_path, engine, number):
    demo_images()
    work = tmp_path / "work"
    with started_bench(work, ONLY="G", REPEAT="1000") as process:
        wait_until(lambda: list(work.glob("bench-*")), what="the folder of the run")
        (folder,) = work.iterdir()
        lock = folder / "run.lock"
        wait_until(
            lambda: lock.exists() and lock.read_text() and containers_of(engine, folder.name),
            what="a runner and a container",
        )
        runner = int(lock.read_text().split()[1])
        process.send_signal(number)
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 128 + number, output
    assert containers_of(engine, folder.name) == []
    assert list(work.iterdir()) == []
    assert not Path(f"/proc/{runner}").exists()

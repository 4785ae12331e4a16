"""The studies that are measured, and submitting them as `manage.py add_job` does."""

import subprocess
from collections.abc import Iterable
from pathlib import Path

NO_OP = ["sh", "-c", "mkdir -p output && echo done >output/result.txt"]
SLEEPERS = ("sleep_1", "sleep_2")
WORKSPACE = "bench"
CROWD = 10_000
GIBIBYTE = 1024**3
SMALL_FILES, SMALL_BYTES = 2000, 10 * 1024
_GIT = ("git", "-c", "user.name=Alice", "-c", "user.email=alice@example.org", "-c", "init.defaultBranch=main")

_NO_OP_COMMAND = "sh -c 'mkdir -p output && echo done >output/{name}.txt'"
# One process writes them all: a fork for each would take longer than what is measured.
_SMALL_SCRIPT = f"""mkdir -p output/small
awk 'BEGIN {{
  for (i = 0; i < {SMALL_FILES}; i++) {{
    file = sprintf("output/small/%04d.csv", i); printf "%{SMALL_BYTES}s", "" >file; close(file)
  }}
}}'
"""


def action(name: str, command: str, output: str, needs: Iterable[str] = ()) -> str:
    """The lines of one action in a project.yaml."""
    return (
        f"  {name}:\n    run: python:v2 {command}\n    needs: [{', '.join(needs)}]\n"
        f"    outputs:\n      highly_sensitive:\n        files: {output}\n"
    )


def no_op(name: str, needs: Iterable[str] = ()) -> str:
    return action(name, _NO_OP_COMMAND.format(name=name), f"output/{name}.txt", needs)


def project(*actions: str) -> str:
    return "version: '4.0'\nactions:\n" + "".join(actions)


def small_study() -> str:
    """Everything that really runs: one no-op, many, a chain, large and many outputs, and two that sleep."""
    links = [no_op(f"link_{number}", [f"link_{number - 1}"] if number > 1 else []) for number in range(1, 11)]
    big = f"dd if=/dev/zero of=output/big.bin bs=1M count={GIBIBYTE // 1024**2}"
    return project(
        no_op("result"),
        *(no_op(f"one_{number}") for number in range(1, 21)),
        *links,
        action("big", f"sh -c 'mkdir -p output && {big}'", "output/big.bin"),
        action("small", "sh small.sh", "output/small/*.csv"),
        *_sleepers(),
    )


def crowd(count: int, needs: Iterable[str] = ()) -> str:
    """`count` actions that wait, each for those it needs or for a worker; and the two that sleep."""
    return project(*_sleepers(), *(no_op(f"crowd_{number}", needs) for number in range(count)))


def _sleepers() -> list[str]:
    # No two actions may have the same command.
    return [action(name, f"sleep {600 + n}", f"output/{name}.txt") for n, name in enumerate(SLEEPERS)]


def make_repository(folder: Path, text: str) -> str:
    """A git repository with this project.yaml; the id of its commit."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "project.yaml").write_text(text)
    (folder / "small.sh").write_text(_SMALL_SCRIPT)
    for command in (("init", "--quiet"), ("add", "--all"), ("commit", "--quiet", "--message=Measure")):
        subprocess.run([*_GIT, *command], cwd=folder, check=True)
    return subprocess.run(
        [*_GIT, "rev-parse", "HEAD"], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


class Study:
    """A repository with one commit, whose actions are submitted as `manage.py add_job` does."""

    def __init__(self, folder: Path, text: str):
        self.folder, self.commit = folder, make_repository(folder, text)

    def request(self, actions: list[str]):
        """An unsaved JobRequest."""
        from jobs.models import JobRequest

        return JobRequest(
            source=JobRequest.Source.LOCAL,
            backend="development",
            workspace=WORKSPACE,
            repo_url=str(self.folder),
            commit=self.commit,
            requested_actions=actions,
            created_by="alice",
        )

    def submit(self, *actions: str) -> list:
        """Plan and store jobs for the actions; returns them once they are committed."""
        from jobs import planning

        return planning.submit(self.request(list(actions)), by="bench").jobs

"""What each action runs: hosts are asked as little as can be."""

from jobs import git
from jobs.images import Images
from jobs.project import load_project


def project_of(*images: str):
    actions = "".join(
        f"  a{number}:\n    run: {image}:v1 x{number}\n    outputs: {{highly_sensitive: {{o: o{number}.csv}}}}\n"
        for number, image in enumerate(images)
    )
    return load_project(f"version: '5.0'\nactions:\n{actions}")


def test_a_silent_host_is_asked_once_a_plan_and_not_for_each_action(monkeypatch):
    asked = []

    def silent(address, tag):
        asked.append(address)
        raise git.GitUnavailable("The server does not answer properly.")

    monkeypatch.setattr(git, "resolve", silent)
    project = project_of("matching", "plotting", "python", "tables")
    images = Images(project)

    images.resolve(project.actions.values())

    assert [address.rpartition("/")[2] for address in asked] == ["matching"]
    assert list(images.troubles) == ["a0", "a1", "a3"]
    assert list(images.resolved) == ["a2"]

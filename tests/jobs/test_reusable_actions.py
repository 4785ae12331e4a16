"""Reusable actions against a small git host in memory: which commands become whose code, and what is refused.

The same with real git, from the request to the jobs: test_reusable_actions_of_git.py.
"""

import inspect
from dataclasses import dataclass, field

import pytest

from jobs.git import GitError, GitFileNotFound, GitUnavailable, UnknownRevision
from jobs.project import load_project
from jobs.reusable_actions import Resolver, ReusableAction, ReusableActionError, resolve

ORG = "https://example.org/actions"
REPO = f"{ORG}/reusable-action"
COMMIT = "c" * 40
IMAGES = ("python", "r", "ehrql", "cohortextractor", "sqlrunner")

# Rows of the requirements -> the test (here) that has the row's case.
ROWS = {
    "L1": "test_an_allowed_image_is_no_reusable_action_and_git_is_not_asked",
    "L2": "test_the_action_s_command_is_followed_by_the_study_s_arguments_in_their_order",
    "L3": "test_the_action_s_command_is_followed_by_the_study_s_arguments_in_their_order",
    "L4": "test_the_action_s_command_is_followed_by_the_study_s_arguments_in_their_order",
    "L5": "test_an_image_that_is_no_plain_name_and_version_is_refused_before_git_is_asked",
    "L6": "test_an_unknown_tag_is_the_study_s_fault",
    "L7": "test_a_repository_that_cannot_be_read_may_be_a_misspelt_image",
    "L8": "test_a_tag_that_is_not_merged_into_main_is_refused_before_its_files_are_read",
    "L9": "test_what_git_says_when_asked_for_the_merge_is_told_as_that",
    "L10": "test_a_git_error_at_any_step_says_which_repository",
    "L11": "test_a_repository_without_action_yaml_is_no_reusable_action",
    "L12": "test_a_faulty_action_yaml_is_reported_with_where_to_open_an_issue",
    "L13": "test_a_faulty_action_yaml_is_reported_with_where_to_open_an_issue",
    "L14": "test_a_faulty_action_yaml_is_reported_with_where_to_open_an_issue",
    "L15": "test_a_faulty_action_yaml_is_reported_with_where_to_open_an_issue",
    "L16": "test_a_batch_leaves_plain_images_as_they_are_and_rewrites_the_others",
    "L17": "test_an_error_in_a_batch_names_action_and_image_and_leaves_the_earlier_ones_resolved",
    "L18": "test_an_image_is_fetched_once_per_batch",
}


@dataclass
class Host:
    """A git host with one repository per address: tags, the commits on main, the files of each commit."""

    tags: dict = field(default_factory=lambda: {(REPO, "latest"): COMMIT, (REPO, "v1"): COMMIT})
    on_main: set = field(default_factory=lambda: {(REPO, COMMIT)})
    files: dict = field(default_factory=lambda: {(REPO, COMMIT, "action.yaml"): b"run: python:v1 main.py"})
    fails_at: str = ""
    failure: Exception = field(default_factory=lambda: GitError("the repository is damaged"))
    calls: list = field(default_factory=list)

    def _called(self, verb, *arguments):
        self.calls.append((verb, *arguments))
        if verb == self.fails_at:
            raise self.failure

    def resolve_tag(self, repo, ref):
        self._called("resolve_tag", repo, ref)
        if (repo, ref) not in self.tags:
            raise UnknownRevision(f"{repo} has no tag {ref}.")
        return self.tags[repo, ref]

    def is_on_branch(self, repo, commit, branch):
        self._called("is_on_branch", repo, commit, branch)
        return branch == "main" and (repo, commit) in self.on_main

    def read_file(self, repo, commit, path):
        self._called("read_file", repo, commit, path)
        if (repo, commit, path) not in self.files:
            raise GitFileNotFound(f"there is no {path}")
        return self.files[repo, commit, path]

    def functions(self):
        return {
            "allowed_images": IMAGES,
            "org_url": ORG,
            "resolve_tag": self.resolve_tag,
            "is_on_branch": self.is_on_branch,
            "read_file": self.read_file,
        }


def with_action_file(text: bytes) -> Host:
    return Host(files={(REPO, COMMIT, "action.yaml"): text})


def refusal(host: Host, command="reusable-action:latest --f=png") -> str:
    with pytest.raises(ReusableActionError) as caught:
        resolve(command, **host.functions())
    return str(caught.value)


def actions_of(*commands: str):
    entries = "".join(
        f"  a{n}: {{run: '{command}', outputs: {{highly_sensitive: {{o: {n}.csv}}}}}}\n"
        for n, command in enumerate(commands)
    )
    return list(load_project(f"version: 4\nactions:\n{entries}").actions.values())


def test_every_row_of_the_requirements_has_its_test():
    assert list(ROWS) == [f"L{number}" for number in range(1, 19)]
    assert [name for name in ROWS.values() if not inspect.isfunction(globals().get(name))] == []


def test_an_allowed_image_is_no_reusable_action_and_git_is_not_asked():
    host = Host()
    assert resolve("python:latest python x.py", **host.functions()) is None
    assert host.calls == []


@pytest.mark.parametrize(
    ("arguments", "run"),
    [
        ("", "python:v1 main.py"),
        (" --f=png", "python:v1 main.py --f=png"),
        (" output/i.csv", "python:v1 main.py output/i.csv"),
        (" --f=png output/i.csv", "python:v1 main.py --f=png output/i.csv"),
        (" output/i.csv --f=png", "python:v1 main.py output/i.csv --f=png"),
        (" 'a b' '$HOME' \"it's\"", "python:v1 main.py 'a b' '$HOME' 'it'\"'\"'s'"),
    ],
)
def test_the_action_s_command_is_followed_by_the_study_s_arguments_in_their_order(arguments, run):
    found = resolve(f"reusable-action:latest{arguments}", **Host().functions())
    assert found == ReusableAction(REPO, COMMIT, run)


@pytest.mark.parametrize(
    "image",
    [
        "../my-bad-org/reusable-action:latest",
        "a/b:latest",
        "..:latest",
        "--privileged:v1",
        "-v:v1",
        ":v1",
        "evil.org:5000/x:v1",
        "a@b:v1",
        "'a b:v1'",
        "reusable-action",
        "reusable-action:",
        "reusable-action:-v",
        "reusable-action:--upload-pack=x",
        "reusable-action:a/b",
        "reusable-action:v1:v2",
        "python:../../x",
        "python:v1@sha256:00",
        "'x\ny:v1'",
        "",
        "'",
        "a\0:v1",
    ],
)
def test_an_image_that_is_no_plain_name_and_version_is_refused_before_git_is_asked(image):
    host = Host()
    refusal(host, f"{image} -v /:/host")
    assert host.calls == []


def test_an_unknown_tag_is_the_study_s_fault():
    assert refusal(Host(), "reusable-action:v9").startswith(f"'v9' is not a tag of {REPO}")


@pytest.mark.parametrize("verb", ["resolve_tag", "is_on_branch", "read_file"])
def test_a_git_error_at_any_step_says_which_repository(verb):
    message = refusal(Host(fails_at=verb))
    assert REPO in message
    assert "the repository is damaged" in message


def test_a_repository_that_cannot_be_read_may_be_a_misspelt_image():
    assert "neither an allowed image (cohortextractor, ehrql, python, r, sqlrunner) nor" in refusal(
        Host(fails_at="resolve_tag")
    )


@pytest.mark.parametrize("verb", ["resolve_tag", "is_on_branch", "read_file"])
def test_a_git_host_that_is_down_is_nobody_s_fault(verb):
    with pytest.raises(GitUnavailable):
        resolve("reusable-action:v1", **Host(fails_at=verb, failure=GitUnavailable("no route")).functions())


def test_a_tag_that_is_not_merged_into_main_is_refused_before_its_files_are_read():
    host = Host(on_main=set())
    message = refusal(host)
    assert "not approved for use: it is not merged into branch main" in message
    assert f"Use a version that is, or ask for this one at {REPO}/issues." in message
    assert "read_file" not in [call[0] for call in host.calls]


def test_what_git_says_when_asked_for_the_merge_is_told_as_that():
    message = refusal(Host(fails_at="is_on_branch"))
    assert f"whether tag 'latest' of {REPO} is merged into branch main cannot be found out: the repository" in message


def test_an_action_without_the_branch_main_is_its_maintainers_fault():
    message = refusal(Host(fails_at="is_on_branch", failure=UnknownRevision("there is no branch 'main'")))
    assert (
        f"not approved for use: there is no branch main into which it could be merged. Please open an issue at {REPO}"
        in message
    )


def test_a_repository_without_action_yaml_is_no_reusable_action():
    assert "no action.yaml there" in refusal(Host(files={}))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"run: 'python:v1", "action.yaml line 1: is not valid YAML"),
        (b"run: a\nrun: b", "line 2: the key 'run' is there twice"),
        (b"{}", "has no `run`"),
        (b"run: [python:v1]", "has no `run`"),
        (b"run: ''", "command is empty"),
        (b"run: '\"'", "cannot be split"),
        (b'run: "python:v1 \\0"', "NUL"),
        (b"- run", "must be a dictionary"),
        (b"", "must be a dictionary"),
        (b"\xff", "not text in UTF-8"),
        (b"#" * 70_000, "longer than 65536 bytes"),
        (b"[" * 60_000, "nested more than 50"),
        (b"run: notanaction:v1", "its image 'notanaction' is not an allowed one"),
        (b"run: reusable-action:v1", "is not an allowed one"),
        (b"run: python", "is not a valid version"),
        (b"run: --privileged:v1", "is not a valid name"),
        (b"run: ehrql:v1 generate-dataset d.py --output d.csv", "cannot run commands that access the database"),
        (b"run: cohortextractor:v1 generate_cohort", "cannot run commands that access the database"),
        (b"run: sqlrunner:v1", "cannot run commands that access the database"),
    ],
)
def test_a_faulty_action_yaml_is_reported_with_where_to_open_an_issue(text, why):
    message = refusal(with_action_file(text))
    assert f"please open an issue at {REPO}/issues" in message
    assert why in message


def test_the_study_s_arguments_cannot_turn_an_action_into_a_database_command():
    host = with_action_file(b"run: ehrql:v1")
    assert "cannot run commands that access the database" in refusal(host, "reusable-action:v1 generate-dataset d.py")


def test_a_message_is_one_harmless_line():
    message = refusal(Host(failure=GitError("a\nb\x1b[2J" + "x" * 5000), fails_at="read_file"))
    assert message.isprintable()
    assert len(message.encode()) <= 1024


def test_a_batch_leaves_plain_images_as_they_are_and_rewrites_the_others():
    plain, reusable = actions_of("python:v1 s.py", "reusable-action:latest --f")
    resolver = Resolver(**Host().functions())
    assert resolver(plain, plain.run) == (None, "python:v1 s.py")
    assert resolver(reusable, reusable.run) == (
        ReusableAction(REPO, COMMIT, "python:v1 main.py --f"),
        "python:v1 main.py --f",
    )


def test_an_error_in_a_batch_names_action_and_image_and_leaves_the_earlier_ones_resolved():
    good, bad = actions_of("reusable-action:v1", "reusable-action:v9")
    resolver = Resolver(**Host().functions())
    assert resolver(good, good.run)[0].commit == COMMIT
    with pytest.raises(ReusableActionError, match=r"^Action a1: reusable-action:v9: "):
        resolver(bad, bad.run)


def test_an_image_is_fetched_once_per_batch():
    host = Host()
    resolver = Resolver(**host.functions())
    for action in actions_of("reusable-action:v1 a", "reusable-action:v1 b"):
        resolver(action, action.run)
    assert [call[0] for call in host.calls] == ["resolve_tag", "is_on_branch", "read_file"]


def test_one_that_cannot_be_used_is_looked_for_once_per_batch_too():
    host = Host(on_main=set())
    resolver = Resolver(**host.functions())
    for action in actions_of("reusable-action:v1 a", "reusable-action:v1 b"):
        with pytest.raises(ReusableActionError, match="not merged"):
            resolver(action, action.run)
    assert [call[0] for call in host.calls] == ["resolve_tag", "is_on_branch"]


def test_another_tag_is_another_action():
    host = Host(tags={(REPO, "v1"): COMMIT, (REPO, "v2"): "d" * 40})
    host.on_main.add((REPO, "d" * 40))
    host.files[REPO, "d" * 40, "action.yaml"] = b"run: r:v2 main.R"
    resolver = Resolver(**host.functions())
    commits = [
        resolver(action, action.run)[0].commit for action in actions_of("reusable-action:v1", "reusable-action:v2")
    ]
    assert commits == [COMMIT, "d" * 40]

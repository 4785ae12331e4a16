"""The rules of the house, read from the code itself: who may import whom, who may write what, how long things may be.

Each rule is a function from a file's path and its syntax tree to sentences about what breaks it; each is also fed an
example that breaks it, because a rule that cannot fail says nothing.
"""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("jobs", "runner", "sync", "jobrunner_site")
LONGEST_FILE, LONGEST_FUNCTION, LONGEST_HANDLE = 300, 50, 40

Rule = Callable[[str, ast.Module], Iterator[str]]

REACHES_GIT = ("jobs.git", "jobs.graph", "jobs.planning", "jobs.local", "jobs.waiting", "subprocess")
# Folder or file -> modules that nothing in it may import, and why.
FORBIDDEN_IMPORTS = {
    "jobs/": (("sync", "runner", "docker", "requests"), "jobs is the ground floor"),
    "runner/": (("sync", "requests"), "only sync speaks HTTP"),
    "sync/": (("runner", "docker"), "only the runner knows the engine"),
    "jobrunner_site/": (("sync", "runner", "docker", "requests"), "the site is wiring only"),
    "jobs/admin": (REACHES_GIT, "the web reaches no git"),
    "jobs/health.py": (REACHES_GIT, "the web reaches no git"),
    "jobs/problems.py": (REACHES_GIT, "the web reaches no git"),
    "jobs/signs.py": (REACHES_GIT, "the web reaches no git"),
    "jobs/system/": (REACHES_GIT, "the web reaches no git"),
    "jobs/views/": (REACHES_GIT, "the web reaches no git"),
    "jobs/api/": (REACHES_GIT, "the web reaches no git"),
    "jobs/people/": (REACHES_GIT, "the web reaches no git"),
    "jobs/templatetags/": (REACHES_GIT, "the web reaches no git"),
    "jobs/rap/": (REACHES_GIT, "the web reaches no git"),
    "jobs/states.py": (("jobs",), "tables know nothing"),
    "jobs/study/": (("django", "jobs.models", "jobs.git", "subprocess"), "reading a project is pure"),
    "jobs/project.py": (("django", "jobs.models", "jobs.git", "subprocess"), "reading a project is pure"),
    "jobs/git/": (("jobs.models", "jobs.planning"), "git knows no jobs"),
    "runner/executors/": (
        ("jobs.models", "jobs.states", "jobs.storage", "runner.steps", "runner.loop", "django.db"),
        "an executor knows containers and nothing of jobs",
    ),
}
ALLOWED_IMPORTS = {
    # The Docker SDK speaks through requests, whose errors and time limits come out of it.
    ("runner/executors/docker/engine.py", "requests"),
}
MAY_READ_THE_ENVIRONMENT = (
    *("jobrunner_site/settings.py", "manage.py"),
    *("jobrunner_site/wsgi.py", "jobrunner_site/gunicorn_conf.py"),  # which settings, and no more
)
MAY_FILTER_BY_STATUS = ("jobs/models/",)
MAY_WRITE_A_STATUS = ("jobs/models/job.py",)
STATUS_COLUMNS = ("state", "status_code")
FILTERS = ("filter", "exclude", "update", "get", "get_or_create", "update_or_create", "Q")
VAGUE_NAMES = ("utils", "util", "helpers", "misc", "common", "services", "managers")


def imported(tree: ast.Module) -> Iterator[str]:
    """Full names of what is imported anywhere in the file, in functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_or_is_in(name: str, module: str) -> bool:
    return name == module or name.startswith(f"{module}.")


def imports_go_down_only(path: str, tree: ast.Module) -> Iterator[str]:
    for place, (modules, reason) in FORBIDDEN_IMPORTS.items():
        if path.startswith(place):
            found = sorted({name for name in imported(tree) for module in modules if is_or_is_in(name, module)})
            yield from (f"{path} imports {name}: {reason}" for name in found if (path, name) not in ALLOWED_IMPORTS)


def only_settings_read_the_environment(path: str, tree: ast.Module) -> Iterator[str]:
    if path in MAY_READ_THE_ENVIRONMENT:
        return
    names = ("environ", "environb", "getenv", "putenv")
    for node in ast.walk(tree):
        is_attribute = isinstance(node, ast.Attribute) and node.attr in names
        if is_attribute and isinstance(node.value, ast.Name) and node.value.id == "os":
            yield f"{path}:{node.lineno} reads the environment: ask django.conf.settings"
        if isinstance(node, ast.ImportFrom) and node.module == "os" and {each.name for each in node.names} & set(names):
            yield f"{path}:{node.lineno} imports the environment: ask django.conf.settings"


def only_models_filter_by_status(path: str, tree: ast.Module) -> Iterator[str]:
    if path.startswith(MAY_FILTER_BY_STATUS):
        return
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        columns = [part for each in node.keywords if each.arg for part in each.arg.split("__")]
        if name in FILTERS and set(columns) & set(STATUS_COLUMNS):
            yield f"{path}:{node.lineno} filters by a status: give the question a name in jobs/models"


def only_move_to_writes_a_status(path: str, tree: ast.Module) -> Iterator[str]:
    if path in MAY_WRITE_A_STATUS:
        return
    for node in ast.walk(tree):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        written = {target.attr for target in targets if isinstance(target, ast.Attribute)}
        if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign) and written & set(STATUS_COLUMNS):
            yield f"{path}:{node.lineno} writes a status: call move_to"


def functions(tree: ast.Module) -> Iterator[tuple[str, int, int]]:
    """Name, first line and number of lines of every function."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, node.lineno, node.end_lineno - node.lineno + 1


def functions_are_short(path: str, tree: ast.Module) -> Iterator[str]:
    for name, line, length in functions(tree):
        if length > LONGEST_FUNCTION:
            yield f"{path}:{line} {name} has {length} lines, at most {LONGEST_FUNCTION}: split it by question"
        if name == "handle" and "/management/commands/" in path and length >= LONGEST_HANDLE:
            yield f"{path}:{line} handle has {length} lines: a command parses options and calls one function"


def modules_say_why_they_exist(path: str, tree: ast.Module) -> Iterator[str]:
    if tree.body and not ast.get_docstring(tree):
        yield f"{path} has no docstring that says why it exists"


def names_say_what_is_inside(path: str, tree: ast.Module) -> Iterator[str]:
    vague = [part for part in Path(path).with_suffix("").parts if part in VAGUE_NAMES]
    if vague:
        yield f"{path}: {vague[0]} says nothing about what is inside"


def no_signals_and_no_save_overrides(path: str, tree: ast.Module) -> Iterator[str]:
    for name in imported(tree):
        if is_or_is_in(name, "django.db.models.signals") or is_or_is_in(name, "django.dispatch"):
            yield f"{path} imports {name}: verbs are called, nothing happens behind one's back"
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and path.startswith("jobs/models/"):
            names = {each.name for each in node.body if isinstance(each, ast.FunctionDef)}
            if names & {"save", "delete"}:
                yield f"{path}:{node.lineno} {node.name} overrides save or delete: give it a verb"


RULES: dict[Rule, list[tuple[str, str]]] = {
    imports_go_down_only: [
        ("jobs/planning.py", "from runner import steps"),
        ("jobs/local.py", "def f():\n    import docker.errors"),
        ("jobs/models/job.py", "import requests"),
        ("runner/steps.py", "from sync.loop import sync_once"),
        ("sync/loop.py", "import runner.loop"),
        ("jobs/admin.py", "from jobs import git"),
        ("jobs/rap/creating.py", "from jobs.planning import submit"),
        ("jobs/rap/views.py", "import sync.planner"),
        ("jobs/health.py", "from jobs import git"),
        ("jobs/views/job_list.py", "from jobs import git"),
        ("runner/executors/docker.py", "from jobs.models import Job"),
        ("jobs/study/needs.py", "from django.conf import settings"),
    ],
    only_settings_read_the_environment: [
        ("runner/lock.py", "import os\nos.environ['HOME']"),
        ("jobs/log.py", "import os\nx = os.getenv('HOME')"),
        ("sync/loop.py", "from os import environ"),
    ],
    only_models_filter_by_status: [
        ("runner/loop.py", "Job.objects.filter(status_code='created')"),
        ("jobs/admin.py", "jobs.exclude(job__state__in=['failed'])"),
        ("sync/loop.py", "Job.objects.filter(pk=1).update(state='failed')"),
        ("runner/loop.py", "Job.objects.filter(Q(state='failed') | Q(pk=1))"),
    ],
    only_move_to_writes_a_status: [
        ("runner/steps.py", "job.status_code = 'failed'"),
        ("jobs/planning.py", "job.state: str = 'failed'"),
    ],
    functions_are_short: [
        ("runner/loop.py", "def tick():\n" + "    x = 1\n" * LONGEST_FUNCTION),
        ("jobs/management/commands/add_job.py", "def handle():\n" + "    x = 1\n" * LONGEST_HANDLE),
    ],
    modules_say_why_they_exist: [("jobs/text.py", "x = 1")],
    names_say_what_is_inside: [("jobs/utils.py", ""), ("runner/helpers/text.py", "")],
    no_signals_and_no_save_overrides: [
        ("jobs/apps.py", "from django.db.models.signals import post_save"),
        ("jobs/models/job.py", "class Job:\n    def save(self): pass"),
    ],
}


def python_files() -> list[Path]:
    """Every file of production code but migrations, which Django writes."""
    found = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    return sorted(path for path in [*found, ROOT / "manage.py"] if "migrations" not in path.parts)


def test_the_rules_are_applied_to_real_files():
    paths = {str(path.relative_to(ROOT)) for path in python_files()}
    assert {"jobs/models/job.py", "runner/loop.py", "jobrunner_site/settings.py", "manage.py"} <= paths


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_code_keeps_the_rule(rule):
    broken = [
        sentence
        for path in python_files()
        for sentence in rule(str(path.relative_to(ROOT)), ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize(
    ("rule", "path", "source"),
    [(rule, path, source) for rule, examples in RULES.items() for path, source in examples],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_the_rule_is_able_to_fail(rule, path, source):
    assert list(rule(path, ast.parse(source)))


def test_every_exception_is_still_needed():
    unneeded = [
        (path, name)
        for path, name in ALLOWED_IMPORTS
        if name not in imported(ast.parse((ROOT / path).read_text(encoding="utf-8")))
    ]
    assert not unneeded


def too_long(lengths: dict[str, int]) -> list[str]:
    return [f"{path} has {lines} lines" for path, lines in lengths.items() if lines > LONGEST_FILE]


def test_files_are_at_most_300_lines_long():
    assert too_long({"jobs/everything.py": LONGEST_FILE + 1})
    scripts = list((ROOT / "scripts").rglob("*.py"))
    files = {path: path.read_text(encoding="utf-8").count("\n") for path in [*python_files(), *scripts]}
    broken = too_long({str(path.relative_to(ROOT)): lines for path, lines in files.items()})
    assert not broken, "\n".join(broken)

"""What ten thousand jobs cost apart from time in the loop: loading and planning them (L), and memory (F)."""

from benchmarks.floor import timed
from benchmarks.installation import Installation, idle_megabytes
from benchmarks.latency import start_sleeping
from benchmarks.results import Result, Target
from benchmarks.studies import CROWD, SLEEPERS, Study, crowd
from benchmarks.watching import wait_until


def planning(site: Installation, repeat: int) -> Result:
    import yaml

    from jobs.planning import make_plan, submit
    from jobs.project import load_project

    text = crowd(CROWD, [SLEEPERS[0]])
    study = Study(site.folder / "planned", text)
    names = [f"crowd_{number}" for number in range(CROWD)]
    project = load_project(text, filename="project.yaml")
    loaded, planned, stored, parsed = [], [], [], []
    for _ in range(repeat):
        loaded.append(timed(lambda: load_project(text, filename="project.yaml")))
        with site.emptied():
            planned.append(timed(lambda: make_plan(study.request(names), project)))
            stored.append(timed(lambda: submit(study.request(names), project, by="bench")))
        parsed.append(timed(lambda: yaml.load(text, Loader=yaml.CSafeLoader)))
    return Result(
        "L",
        f"project.yaml of {CROWD:,} actions: loaded and planned",
        "s",
        [load + plan for load, plan in zip(loaded, planned, strict=True)],
        "its YAML alone, read by PyYAML with libyaml",
        parsed,
        (Target("median", 2),),
        also={"loaded, s": min(loaded), "planned, s": min(planned), "planned again and stored, s": min(stored)},
    )


def memory(site: Installation, repeat: int) -> Result:
    """One more runner, with a crowd; with it all the other runners of this run count, whatever they did."""
    study = Study(site.folder / "remembered", crowd(CROWD))
    for _ in range(repeat):
        with site.emptied():
            site.start_runner()
            with site.database() as database:
                start_sleeping(site, database, study, *SLEEPERS)
                jobs = study.submit(*(f"crowd_{number}" for number in range(CROWD)))
                database.wait_for_codes([jobs[-1].pk], "waiting_on_workers")
            _wait_for_a_sign_of_life()
    return Result(
        "F",
        f"peak resident memory of `run`, also with {CROWD:,} jobs waiting",
        "MB",
        [max(site.peaks_megabytes)],
        "a process that imports Django and the SDK and does nothing",
        [idle_megabytes("docker")],
        (Target("median", 150),),
        also={"with the crowd, MB": max(site.peaks_megabytes[-repeat:]), "runners": len(site.peaks_megabytes)},
    )


def _wait_for_a_sign_of_life() -> None:
    """Until the runner has gone on for turns with what it has now."""
    from jobs.models import Heartbeat

    last = Heartbeat.objects.get(name="run").at
    wait_until(lambda: Heartbeat.objects.get(name="run").at > last, 60, "the runner's sign of life", pause=0.1)

"""The canary: it finds that all works, or which phase does not, and touches nothing of the site."""

import json
from pathlib import Path

import pytest

from tests import engine
from tests.site import Site

pytestmark = pytest.mark.slow_test

SH = ("--run", "python:v2 sh canary.sh")


@pytest.fixture
def site(tmp_path):
    with Site(tmp_path) as site:
        site.manage("pause", "on", "--reason", "the site's own switch")
        yield site


def everything(site: Site) -> tuple:
    return site.query("SELECT count(*) FROM jobs_job"), site.high.exists(), list((site.work_dir / "selftest").iterdir())


@pytest.mark.needs_docker
@pytest.mark.parametrize("kill", [(), ("--kill",)], ids=["undisturbed", "killed on the way"])
def test_on_a_site_that_works_every_phase_does_what_it_has_to_and_nothing_is_left(site, kill):
    """Also while the site itself is paused."""
    engine.demo_images()
    told = json.loads(site.manage("selftest", *SH, *kill, "--json"))
    assert told["is_well"] and told["folder"] is None
    names = [phase["name"] for phase in told["phases"]]
    assert ("the runner is killed in the middle of the job" in names) == bool(kill) and names[
        -1
    ] == "nothing is left over"
    assert everything(site) == ([(0,)], False, [])


@pytest.mark.needs_docker
def test_a_canary_that_fails_says_at_which_phase_and_keeps_what_it_made(site):
    engine.demo_images()
    said = site.manage("selftest", "--run", "python:v2 sh no-such-script.sh", expect=1)
    assert "✗ the job runs to its end" in said and "nonzero_exit" in said and "no-such-script.sh" in said
    (kept,) = (site.work_dir / "selftest").iterdir()
    assert str(kept) in said.replace("\n", "") and (kept / "run.log").exists()


def test_what_an_executor_makes_up_is_found_out(tmp_path):
    with Site(tmp_path, EXECUTOR="fake") as site:
        told = json.loads(site.manage("selftest", "--json", expect=1))
    assert told["phases"][-1]["name"] == "outputs are stored by privacy level" and told["phases"][-1]["trouble"]
    assert Path(told["folder"]).is_dir()


def test_a_site_s_job_server_is_never_asked_by_the_canary(tmp_path):
    dotenv = tmp_path / "env"
    dotenv.write_text("JOB_SERVER_ENDPOINT=http://127.0.0.1:9/api/\nJOB_SERVER_TOKEN=a-token-of-the-site-1234\n")
    with Site(tmp_path, EXECUTOR="fake") as site:
        site.environment["DOTENV_FILE"] = str(dotenv)
        told = json.loads(site.manage("selftest", "--keep", "--json", expect=1))
        assert "a-token-of-the-site" not in (Path(told["folder"]) / "run.log").read_text()
    assert [phase["trouble"] for phase in told["phases"][:4]] == [""] * 4

"""`manage.py add_job`: add jobs for a study without a job-server."""

import argparse

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError

from jobs.errors import JobError, Unavailable
from jobs.local import Wish, add, show_plan
from jobs.schema import check_database
from jobs.waiting import RunnerFailed, StoppedWaiting

EXAMPLES = """examples:
  manage.py add_job demo/repo run_all --workspace demo --wait
      a local repository: run everything that is not done yet, and wait for it
  manage.py add_job demo/repo write_report --workspace demo --dry-run
      what would run, what would be reused, and why; nothing is added
  manage.py add_job https://github.com/opensafely/research-template run_all --branch main
      the tip of a branch of a repository elsewhere
  manage.py add_job ../my-study describe --commit v1.2 --workspace my-study-test --force-run-dependencies
      a tag, with outputs in a workspace of their own, and everything that `describe` needs run again

a commit of a repository elsewhere must be on a branch of it, as everybody's forks can be read under its address too:
  the branch is --branch, else the branch that --commit names, else the repository's default branch (for a tag, too);
  a commit's id says nothing about branches and needs --branch. Commits of a local repository need none.
"""


class Command(BaseCommand):
    help = (
        "Add jobs for actions of a study (a git repository with a project.yaml) and for what those actions need. "
        "`manage.py run` then runs them."
    )

    def create_parser(self, prog_name, subcommand, **options):
        return super().create_parser(
            prog_name, subcommand, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter, **options
        )

    def add_arguments(self, parser) -> None:
        parser.add_argument("repo", help="path or URL of the study's git repository")
        parser.add_argument("actions", nargs="+", metavar="action", help="action of project.yaml, or run_all")
        parser.add_argument("--commit", default="", help="commit, tag or branch to run; by default the branch's tip")
        parser.add_argument("--branch", default="", help="branch to run; by default the repository's HEAD")
        parser.add_argument("--workspace", default="", help="where outputs go; by default the repository's name")
        parser.add_argument(
            "--database",
            default="default",
            choices=sorted(settings.DATABASE_URLS),
            help="the database that database actions read",
        )
        parser.add_argument(
            "--force-run-dependencies", action="store_true", help="also run again every action that these need"
        )
        parser.add_argument("--dry-run", action="store_true", help="show the plan and add nothing")
        parser.add_argument(
            "--wait",
            action="store_true",
            help="wait until the jobs end, with a runner of its own if none is running; exit code 1 if a job failed",
        )

    def handle(self, *, dry_run: bool, wait: bool, **options) -> None:
        check_database()
        wish = Wish(**{name: options[name] for name in Wish.__annotations__})
        try:
            if dry_run:
                show_plan(wish)
                return
            succeeded = add(wish, wait=wait)
        except JobError as error:
            raise CommandError("\n  ".join(error.lines or [str(error)])) from error
        except RunnerFailed as error:
            raise CommandError(str(error)) from error
        except OperationalError as error:
            raise CommandError(
                f"The database cannot be used now: {error}. See who holds it, then try again."
            ) from error
        except Unavailable as error:
            raise CommandError(f"{error} Nothing was added; try again later.") from error
        except StoppedWaiting:
            self.stderr.write(
                "Stopped waiting. Containers that run go on; `manage.py run` sees to the rest. "
                "To end the jobs: `manage.py cancel_job`."
            )
            raise SystemExit(130) from None
        except KeyboardInterrupt:
            self.stderr.write("Interrupted: nothing was added.")
            raise SystemExit(130) from None
        if not succeeded:
            raise SystemExit(1)

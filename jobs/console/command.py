"""What all of these commands have in common: `--json`, errors in one sentence, exit codes, an end by Ctrl-C."""

import json
import os
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.core.serializers.json import DjangoJSONEncoder
from django.db import DatabaseError

from jobs.asking import Overtaken
from jobs.reasons import NoReason
from jobs.schema import check_database, is_damaged

INTERRUPTED = 130


class Refused(Exception):
    """It cannot be done; the message says why and what to do."""


class OperatorCommand(BaseCommand):
    """Subclasses have `answer(**options)`, which returns the exit code, or None for 0."""

    # They look at what is there; whether the settings are sensible `check` and the long-running commands say.
    requires_system_checks: list[str] = []
    # Whether it can say anything without one that is whole.
    needs_database = True
    # When there is no answer at all.
    failure_code = 1

    def create_parser(self, prog_name, subcommand, **options):
        # A misspelt option is an error, never another one's beginning.
        return super().create_parser(prog_name, subcommand, allow_abbrev=False, **options)

    def add_arguments(self, parser) -> None:
        parser.add_argument("--json", action="store_true", dest="as_json", help="print what the API would answer")

    def handle(self, **options) -> None:
        try:
            if self.needs_database:
                check_database()
            code = self.answer(**options)
            sys.stdout.flush()
        except CommandError as error:
            error.returncode = self.failure_code
            raise
        except (Refused, NoReason, Overtaken) as error:
            raise CommandError(str(error), returncode=self.failure_code) from error
        except DatabaseError as error:
            what = "See who holds it, then try again"
            if is_damaged(error):
                what = "Put a snapshot back: docs/operations.md"
            sentence = f"The database cannot be used now: {error}. {what}."
            raise CommandError(sentence, returncode=self.failure_code) from error
        except KeyboardInterrupt:
            raise SystemExit(INTERRUPTED) from None
        except BrokenPipeError:  # the reader (`head`, `less`) has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return
        if code:
            raise SystemExit(code)

    def answer(self, **options) -> int | None:
        raise NotImplementedError


def print_json(answer: Any) -> None:
    """Keys and moments as in the API; with escapes for all that is not ASCII, so it can hurt no terminal."""
    sys.stdout.write(json.dumps(answer, indent=2, cls=DjangoJSONEncoder) + "\n")

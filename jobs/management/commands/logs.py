"""`manage.py logs ID`: a job's log."""

from argparse import ArgumentTypeError

from jobs.console.command import OperatorCommand
from jobs.console.finding import job_called
from jobs.console.log_lines import print_log


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text[:9]) <= 100_000):
        raise ArgumentTypeError("a number from 1 to 100000")
    return int(text)


class Command(OperatorCommand):
    help = (
        "Print a job's log. Sequences that could change a terminal are taken out; the file itself is left as it is. "
        "A log may quote patients' rows: who reads it is noted in the audit."
    )

    def add_arguments(self, parser) -> None:
        parser.add_argument("job", help="its identifier, or the beginning of it")
        parser.add_argument("-f", "--follow", action="store_true", help="go on until the job ends")
        parser.add_argument("-n", "--tail", type=_count, help="only the last so many lines")
        parser.add_argument("-t", "--timestamps", action="store_true", help="with the time of each line")
        parser.add_argument("--attempt", type=_count, help="of an earlier attempt")

    def answer(self, *, job: str, follow: bool, tail: int | None, timestamps: bool, attempt: int | None, **_) -> None:
        print_log(job_called(job), attempt=attempt, tail=tail, follow=follow, stamps=timestamps)

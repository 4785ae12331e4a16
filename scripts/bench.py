"""`make bench`: how fast the job runner is, each figure beside what the same work costs by hand in the same run.

Reads three variables: ONLY=A,G measures some cases; OUT=file.json keeps the figures; REPEAT=3 sets how often each case
is repeated. docs/performance.md says what each case is. The exit code is 0 also when a target is missed: this measures.
"""

import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # for the job runner's own packages

from benchmarks import report
from benchmarks.catalogue import chosen, measure
from benchmarks.watching import WentWrong, interruption


def main() -> int:
    if len(sys.argv) > 1:  # whoever asks for help must not wait for four minutes of measuring
        print(__doc__)
        return 0 if sys.argv[1] in ("-h", "--help") else 2
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interruption.handle)
    console = report.console()
    try:
        names, repetitions, out = options()
    except ValueError as error:
        print(f"make bench: {error}", file=sys.stderr)
        return 2
    measured = []
    try:
        for result, load in measure(names, repetitions):
            measured.append((result, load))
            report.show(console, result, load)
    except WentWrong as error:
        print(f"make bench: {error}", file=sys.stderr)
        return 1
    except SystemExit as end:
        print("make bench: interrupted; everything it had started is ended and removed.", file=sys.stderr)
        return int(end.code)
    report.summary(console, measured)
    if out:
        report.write(out, [result for result, _ in measured])
        console.print(f"Kept in {out}", soft_wrap=True)
    return 0


def options() -> tuple[list[str], int | None, Path | None]:
    """Cases, repetitions and file as the environment gives them. Raises ValueError saying what is wrong."""
    only, repeat, out = (os.environ.get(name, "").strip() for name in ("ONLY", "REPEAT", "OUT"))
    try:
        names = chosen(only)
    except ValueError as error:
        raise ValueError(f"ONLY={only}: {error}") from None
    if repeat and not (repeat.isdecimal() and int(repeat)):
        raise ValueError(f"REPEAT={repeat}: a number from 1 on is wanted")
    path = Path(out).absolute() if out else None
    if path and not path.parent.is_dir():
        raise ValueError(f"OUT={out}: the folder {path.parent} does not exist")
    return names, int(repeat) if repeat else None, path


if __name__ == "__main__":
    sys.exit(main())

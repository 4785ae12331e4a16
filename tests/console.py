"""Commands for tests, as somebody at a terminal or a script calls them, in this process."""

from dataclasses import dataclass

from django.core.management import CommandError, call_command


@dataclass(frozen=True)
class Called:
    """`refusal` is the sentence that the command ended with, if it was refused."""

    code: int
    out: str
    err: str
    refusal: str = ""


class Terminal:
    """Made by the fixture `manage`; `typed` makes it attended, and is what somebody types."""

    def __init__(self, capsys, monkeypatch):
        self._capsys, self._monkeypatch = capsys, monkeypatch

    def __call__(self, *arguments: str, typed: str | None = None) -> Called:
        self._capsys.readouterr()
        with self._monkeypatch.context() as patch:
            patch.setattr("sys.stdin", _Typed(typed))
            patch.setattr("sys.stderr.isatty", lambda: typed is not None, raising=False)
            patch.setenv("COLUMNS", "200")
            code, refusal = _call(arguments)
        out, err = self._capsys.readouterr()
        return Called(code, out, err, refusal)


class _Typed:
    def __init__(self, typed: str | None):
        self._lines = iter((typed or "").splitlines(keepends=True))
        self._is_attended = typed is not None

    def isatty(self) -> bool:
        return self._is_attended

    def readline(self, most: int = -1) -> str:
        return next(self._lines, "")


def _call(arguments: tuple[str, ...]) -> tuple[int, str]:
    try:
        call_command(*arguments)
    except SystemExit as end:
        return end.code, ""
    except CommandError as error:
        return error.returncode, str(error)
    return 0, ""

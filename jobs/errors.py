"""The errors whose fate a job's author or an operator can change.

Architecture: an error has one of three fates. `JobError` is the study's fault: the job fails with the error's text,
so the text is written for the author of the study. `Unavailable` is the world's fault (a git host, a disk, the engine):
the job stays where it is, says since when, and the step is tried again. Anything else is our bug.

The text of either becomes a status message, and status messages go to the job-server. Whatever a job may have chosen
itself, above all the name of a file, goes into `detail`, which stays inside (requirement 9).
"""


class _Error(Exception):
    def __init__(self, message: str = "", *, detail: str = ""):
        super().__init__(message)
        self.detail = detail


class JobError(_Error):
    """The study's fault; `str(error)` is shown to its author and ends the job (or refuses the request).

    `lines` say the same where there is room for more than one line, as at a terminal: a heading and what is below it.
    """

    lines: tuple[str, ...] = ()


class Unavailable(_Error):
    """Something outside is missing for now; nobody's job fails for it and the same step is tried again later."""


class Stopped(Exception):
    """Somebody asked for a stop while something long was at work; whoever began that cleans up. Nobody's fault."""

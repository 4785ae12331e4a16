"""The errors whose fate a job's author or an operator can change.

Architecture: an error has one of three fates. `JobError` is the study's fault: the job fails with the error's text,
so the text is written for the author of the study. `Unavailable` is the world's fault (a git host, a disk, the engine):
the job stays where it is, says since when, and the step is tried again. Anything else is our bug.
"""


class JobError(Exception):
    """The study's fault; `str(error)` is shown to its author and ends the job (or refuses the request)."""


class Unavailable(Exception):
    """Something outside is missing for now; nobody's job fails for it and the same step is tried again later."""

"""What a container's end means for its job. Pure: facts in, an outcome with a sentence for the study's author out."""

from dataclasses import dataclass

from jobs.exit_codes import KNOWN_EXIT_CODES
from jobs.models import Job
from jobs.states import StatusCode
from jobs.text import listed, size_in_words


@dataclass(frozen=True)
class Outcome:
    """Where `finalized` leads, the sentence that is shown beside it, and what may name files: it stays inside."""

    code: StatusCode
    message: str
    detail: str = ""


def stopped(job: Job) -> Outcome:
    """The end of a job that somebody had cancelled or killed."""
    who_and_why = f"by {job.stop_requested_by}" + (f": {job.stop_reason}" if job.stop_reason else "")
    if job.stop_request == Job.StopRequest.KILL:
        return Outcome(StatusCode.KILLED_BY_ADMIN, f"Killed {who_and_why}")
    return Outcome(StatusCode.CANCELLED_BY_USER, f"Cancelled {who_and_why}")


def of_exit(exit_code: int, out_of_memory: bool, memory_bytes: int) -> Outcome | None:
    """The failure that an exit code stands for; None when the command ended well and its outputs decide."""
    if exit_code == 0:
        return None
    if out_of_memory:
        return Outcome(
            StatusCode.NONZERO_EXIT,
            f"The job ran out of memory (the limit is {size_in_words(memory_bytes)}), exit code {exit_code}.",
        )
    meaning = KNOWN_EXIT_CODES.get(exit_code)
    said = f". This usually means: {meaning}" if meaning else "; see the log for details"
    return Outcome(StatusCode.NONZERO_EXIT, f"The job ended with exit code {exit_code}{said}.")


def unmatched(patterns: list[str], near: dict[str, list[str]], refused: list[str] = ()) -> Outcome:
    """The command ended well but did not make what the study promises."""
    guesses = [
        f"Did you mean {listed(near[pattern])} instead of {pattern}?" for pattern in patterns if near.get(pattern)
    ]
    if refused:
        guesses.append(f"Not stored: {listed(refused)}.")
    return Outcome(
        StatusCode.UNMATCHED_PATTERNS, f"No outputs found matching {listed(patterns)}.", detail=" ".join(guesses)
    )


def success(exit_was_out_of_memory: bool, excluded: list[str], refused: list[str]) -> Outcome:
    """The command ended well and every promised output is stored; what was left out is said here too."""
    sentences, details = ["Completed successfully."], []
    if excluded:
        sentences.append(f"{len(excluded)} moderately sensitive output(s) were withheld by the disclosure checks.")
        details.append(f"Kept back: {listed(excluded)}.")
    if refused:
        sentences.append(f"{len(refused)} file(s) could not be stored.")
        details.append(f"Not stored: {listed(refused)}.")
    if exit_was_out_of_memory:
        sentences.append("One of its processes ran out of memory, although the job succeeded.")
    return Outcome(StatusCode.SUCCEEDED, " ".join(sentences), detail=" ".join(details))


def dependency_failed(awaited: list[Job]) -> str:
    """Why a job will never start, naming the actions that failed."""
    failed = [
        job.action
        for job in sorted(awaited, key=lambda job: job.pk)
        if job.is_finished and job.status_code != StatusCode.SUCCEEDED
    ]
    return f"Not run because it needs {listed(failed)}, which did not succeed."

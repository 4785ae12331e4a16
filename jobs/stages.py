"""What a running job does at each stage, and what comes next: one table, in the words of its page."""

from jobs.states import StatusCode

_NEXT = {
    StatusCode.INITIATED: ("A worker has taken it.", "Its code and inputs are copied into a folder of its own."),
    StatusCode.PREPARING: ("Its code and inputs are being copied.", "Then its container starts."),
    StatusCode.PREPARED: ("Code and inputs are in place.", "Its container starts now."),
    StatusCode.EXECUTING: ("Its container runs.", "When it ends, its outputs are matched, checked and stored."),
    StatusCode.EXECUTED: ("Its container has ended.", "Its outputs are matched, checked and stored."),
    StatusCode.FINALIZING: ("Its outputs are being checked and stored.", "Then container and folder are removed."),
    StatusCode.FINALIZED: ("Its outputs and log are stored.", "Container and folder are being removed."),
}


def next_step(status_code: str) -> tuple[str, str]:
    """What happens now, and what next; empty for a job that does not run."""
    return _NEXT.get(StatusCode(status_code), ("", ""))

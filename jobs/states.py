"""What a job's status may be and what may follow what. Tables only: no database, no Django model.

`State` is what the job-server understands; `StatusCode` is the fine grain, spelt as the job-server spells it (wire
contract §2.5). A state is always computed from a code. `jobs.models.Job.move_to` is the only reader of `MAY_FOLLOW`
that writes.
"""

from django.db.models import TextChoices


class State(TextChoices):
    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class StatusCode(TextChoices):
    CREATED = "created"
    WAITING_ON_DEPENDENCIES = "waiting_on_dependencies"
    WAITING_ON_WORKERS = "waiting_on_workers"
    WAITING_ON_DB_WORKERS = "waiting_on_db_workers"
    PAUSED = "paused"
    WAITING_DB_MAINTENANCE = "waiting_db_maintenance"
    WAITING_ON_REBOOT = "waiting_on_reboot"
    WAITING_ON_NEW_TASK = "waiting_on_new_task"
    INITIATED = "initiated"
    PREPARING = "preparing"
    PREPARED = "prepared"
    EXECUTING = "executing"
    EXECUTED = "executed"
    FINALIZING = "finalizing"
    FINALIZED = "finalized"
    SUCCEEDED = "succeeded"
    DEPENDENCY_FAILED = "dependency_failed"
    NONZERO_EXIT = "nonzero_exit"
    UNMATCHED_PATTERNS = "unmatched_patterns"
    CANCELLED_BY_USER = "cancelled_by_user"
    KILLED_BY_ADMIN = "killed_by_admin"
    STALE_CODELISTS = "stale_codelists"
    JOB_ERROR = "job_error"
    INTERNAL_ERROR = "internal_error"


_C = StatusCode
CODES_OF: dict[State, tuple[StatusCode, ...]] = {
    State.PENDING: (
        _C.CREATED,
        _C.WAITING_ON_DEPENDENCIES,
        _C.WAITING_ON_WORKERS,
        _C.WAITING_ON_DB_WORKERS,
        _C.PAUSED,
        _C.WAITING_DB_MAINTENANCE,
        _C.WAITING_ON_REBOOT,
        _C.WAITING_ON_NEW_TASK,
    ),
    State.RUNNING: (
        _C.INITIATED,
        _C.PREPARING,
        _C.PREPARED,
        _C.EXECUTING,
        _C.EXECUTED,
        _C.FINALIZING,
        _C.FINALIZED,
    ),
    State.SUCCEEDED: (_C.SUCCEEDED,),
    State.FAILED: (
        _C.DEPENDENCY_FAILED,
        _C.NONZERO_EXIT,
        _C.UNMATCHED_PATTERNS,
        _C.CANCELLED_BY_USER,
        _C.KILLED_BY_ADMIN,
        _C.STALE_CODELISTS,
        _C.JOB_ERROR,
        _C.INTERNAL_ERROR,
    ),
}
STATE_OF: dict[StatusCode, State] = {code: state for state, codes in CODES_OF.items() for code in codes}
ACTIVE_STATES = (State.PENDING, State.RUNNING)
FINAL_STATES = (State.SUCCEEDED, State.FAILED)
PENDING_CODES, RUNNING_CODES = CODES_OF[State.PENDING], CODES_OF[State.RUNNING]
ACTIVE_CODES = PENDING_CODES + RUNNING_CODES

# A job that waits may go on waiting for another reason, start, or end without having run.
_FROM_PENDING = frozenset(PENDING_CODES) | {
    _C.INITIATED,
    _C.DEPENDENCY_FAILED,
    _C.CANCELLED_BY_USER,
    _C.KILLED_BY_ADMIN,
    _C.JOB_ERROR,
    _C.INTERNAL_ERROR,
}
# A new attempt (host restart, reboot, database maintenance) puts a running job back among those that wait.
_NEW_ATTEMPT = frozenset({_C.WAITING_ON_NEW_TASK, _C.WAITING_ON_REBOOT, _C.WAITING_DB_MAINTENANCE})
# Whatever ends a job that has begun (success, failure, cancel, kill), its log is saved and its traces are removed in
# `finalizing`; only our own bugs leave it at once, and then everything is kept.
_WORKING = (_C.INITIATED, _C.PREPARING, _C.PREPARED, _C.EXECUTING, _C.EXECUTED)
_OUT_OF_WORKING = _NEW_ATTEMPT | {_C.FINALIZING, _C.INTERNAL_ERROR}
OUTCOMES = frozenset(
    {_C.SUCCEEDED, _C.NONZERO_EXIT, _C.UNMATCHED_PATTERNS, _C.CANCELLED_BY_USER, _C.KILLED_BY_ADMIN, _C.JOB_ERROR}
)
MAY_FOLLOW: dict[StatusCode, frozenset[StatusCode]] = {
    **{code: _FROM_PENDING - {code, _C.CREATED} for code in PENDING_CODES},
    _C.INITIATED: _OUT_OF_WORKING | {_C.PREPARING},
    _C.PREPARING: _OUT_OF_WORKING | {_C.PREPARED},
    _C.PREPARED: _OUT_OF_WORKING | {_C.EXECUTING},
    _C.EXECUTING: _OUT_OF_WORKING | {_C.EXECUTED},
    _C.EXECUTED: _OUT_OF_WORKING,
    _C.FINALIZING: frozenset({_C.FINALIZED, _C.INTERNAL_ERROR}),
    _C.FINALIZED: OUTCOMES | {_C.INTERNAL_ERROR},
    **{code: frozenset() for state in FINAL_STATES for code in CODES_OF[state]},
    # The container and the folder were kept: an operator may have the finalising tried again.
    _C.INTERNAL_ERROR: frozenset({_C.EXECUTED}),
}
# What an operator who reads the runner's log wants to see of each job; the other steps only take moments.
TOLD_CODES = frozenset({_C.EXECUTING, _C.WAITING_ON_NEW_TASK, *CODES_OF[State.SUCCEEDED], *CODES_OF[State.FAILED]})
# A job is inserted with one of these; every later change is a transition. What its request already rules out is never
# pending: the runner could start it between two transactions.
FIRST_CODES = (_C.CREATED, _C.WAITING_ON_DEPENDENCIES, _C.STALE_CODELISTS)


def state_of(code: str) -> State:
    """The state a code belongs to; KeyError for a code nobody knows."""
    return STATE_OF[StatusCode(code)]


def may_follow(old: str, new: str) -> bool:
    return StatusCode(new) in MAY_FOLLOW[StatusCode(old)]


def as_mermaid() -> str:
    """The state diagram for the README, made from the tables: two boxes of codes and the arrows between them."""
    lines = ["stateDiagram-v2", "    [*] --> waiting"]
    lines += [f"    [*] --> {code}" for code in FIRST_CODES if code not in PENDING_CODES]
    lines += ["    state waiting {"]
    lines += [*(f"        {code}" for code in PENDING_CODES), "    }"]
    lines += [f"    waiting --> {code}" for code in StatusCode if code in _FROM_PENDING - set(PENDING_CODES)]
    lines += ["    state working {"]
    for code in _WORKING:
        lines += [f"        {code} --> {new}" for new in StatusCode if new in MAY_FOLLOW[code] - _OUT_OF_WORKING]
    lines += ["    }", "    working --> waiting: new attempt"]
    lines += [f"    working --> {code}" for code in (_C.FINALIZING, _C.INTERNAL_ERROR)]
    for code in (_C.FINALIZING, _C.FINALIZED):
        lines += [f"    {code} --> {new}" for new in StatusCode if new in MAY_FOLLOW[code]]
    lines += [f"    {_C.INTERNAL_ERROR} --> {new}: finalise again" for new in MAY_FOLLOW[_C.INTERNAL_ERROR]]
    lines += [f"    {code} --> [*]" for state in FINAL_STATES for code in CODES_OF[state]]
    return "\n".join(lines) + "\n"

"""What three generations of the job-server do differently: the polling side of the contract as one table.

Every difference has a name here and is asked by that name elsewhere; nobody compares the names of eras. The sources are
sections 1.1 to 1.5 and 1.10 of the contract (`job-server.md`); `tests/fixtures/contract` holds the recordings.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Era:
    name: str
    # Of GET job-requests.
    parameter_wins: bool  # ?backend= is stronger than the token
    active_rule: str  # "completed_at", "job_status" or "stored_status": which requests are listed, see store.py
    old_fields: bool  # workspace.db, and neither database_name, project, orgs nor codelists_ok
    needs_creator: bool  # one request without a creator makes the whole list a 500
    # Of POST jobs.
    atomic: bool  # nothing of a payload is stored if one job of it cannot be
    empty_list_fails: bool
    refuses_unknown_requests: bool  # one unknown request refuses the whole payload
    groups_by_request: bool  # before, interleaved requests lose all jobs but their last
    knows_run_command: bool  # with it: trace_context and metrics
    dates_are_times: bool  # a date alone is accepted as midnight
    errors_by_index: bool  # {"1": {...}} instead of [{}, {...}]
    body_limit: int | None  # bytes
    # Of both.
    reads_flags: bool  # the Flags header; malformed it makes the call a 500
    get_is_a_sign_of_life: bool
    unknown_path: int  # status


ERAS = {
    era.name: era
    for era in (
        Era(
            name="2021-09",
            parameter_wins=True,
            active_rule="completed_at",
            old_fields=True,
            needs_creator=True,
            atomic=True,
            empty_list_fails=True,
            refuses_unknown_requests=True,
            groups_by_request=False,
            knows_run_command=False,
            dates_are_times=False,
            errors_by_index=False,
            body_limit=None,
            reads_flags=False,
            get_is_a_sign_of_life=True,
            unknown_path=500,
        ),
        Era(
            name="2025-05",
            parameter_wins=False,
            active_rule="job_status",
            old_fields=False,
            needs_creator=False,
            atomic=False,
            empty_list_fails=False,
            refuses_unknown_requests=False,
            groups_by_request=False,
            knows_run_command=True,
            dates_are_times=True,
            errors_by_index=False,
            body_limit=None,
            reads_flags=True,
            get_is_a_sign_of_life=True,
            unknown_path=404,
        ),
        Era(
            name="2026-08",
            parameter_wins=False,
            active_rule="stored_status",
            old_fields=False,
            needs_creator=False,
            atomic=False,
            empty_list_fails=False,
            refuses_unknown_requests=False,
            groups_by_request=True,
            knows_run_command=True,
            dates_are_times=True,
            errors_by_index=True,
            body_limit=2_621_440,
            reads_flags=False,
            get_is_a_sign_of_life=False,
            unknown_path=404,
        ),
    )
}
NEWEST = "2026-08"

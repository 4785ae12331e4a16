"""The tables of the state machine: what must be true of them whoever edits them next."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from jobs import states
from jobs.states import ACTIVE_CODES, CODES_OF, FINAL_STATES, FIRST_CODES, MAY_FOLLOW, OUTCOMES, State, StatusCode
from runner.steps import STEPS

README = Path(__file__).resolve().parents[2] / "README.md"
FINAL_CODES = [code for state in FINAL_STATES for code in CODES_OF[state]]


def reachable_from(codes: Iterable[StatusCode]) -> set[StatusCode]:
    seen, waiting = set(codes), list(codes)
    while waiting:
        for following in MAY_FOLLOW[waiting.pop()] - seen:
            seen.add(following)
            waiting.append(following)
    return seen


def test_each_code_belongs_to_exactly_one_state():
    listed = [code for codes in CODES_OF.values() for code in codes]
    assert sorted(listed) == sorted(StatusCode)
    assert set(CODES_OF) == set(State)
    assert all(code in CODES_OF[states.state_of(code)] for code in StatusCode)


def test_codes_are_spelt_as_the_job_server_spells_them():
    """Wire contract §2.5: the list of status_code at HEAD."""
    wire = """created initiated paused waiting_db_maintenance waiting_on_dependencies waiting_on_workers
        waiting_on_db_workers waiting_on_reboot waiting_on_new_task preparing prepared executing executed finalizing
        finalized succeeded dependency_failed nonzero_exit cancelled_by_user unmatched_patterns internal_error
        killed_by_admin stale_codelists job_error"""
    assert {code.value for code in StatusCode} == set(wire.split())


def test_nobody_knows_the_state_of_an_unknown_code():
    with pytest.raises(ValueError, match="lost_in_space"):
        states.state_of("lost_in_space")


def test_the_table_of_what_may_follow_has_a_row_for_each_code():
    assert set(MAY_FOLLOW) == set(StatusCode)


def test_no_code_follows_itself():
    assert [code for code, following in MAY_FOLLOW.items() if code in following] == []


def test_nothing_goes_back_to_created():
    assert [code for code, following in MAY_FOLLOW.items() if StatusCode.CREATED in following] == []


def test_each_code_can_be_reached_from_the_first_ones():
    assert reachable_from(FIRST_CODES) == set(StatusCode)


@pytest.mark.parametrize("code", ACTIVE_CODES)
def test_each_active_code_has_a_way_to_success_and_to_each_outcome(code):
    assert reachable_from([code]) >= OUTCOMES


@pytest.mark.parametrize("code", ACTIVE_CODES)
def test_cancelling_and_killing_are_possible_from_each_active_code(code):
    assert {StatusCode.CANCELLED_BY_USER, StatusCode.KILLED_BY_ADMIN} <= reachable_from([code])


@pytest.mark.parametrize("code", ACTIVE_CODES)
def test_our_own_bugs_may_end_a_job_from_each_active_code(code):
    assert StatusCode.INTERNAL_ERROR in MAY_FOLLOW[code]


@pytest.mark.parametrize("code", states.PENDING_CODES)
def test_a_waiting_job_is_cancelled_at_once_and_only_a_working_one_is_finalised(code):
    assert MAY_FOLLOW[code] >= {StatusCode.CANCELLED_BY_USER, StatusCode.KILLED_BY_ADMIN}
    assert not MAY_FOLLOW[code] & {StatusCode.SUCCEEDED, StatusCode.FINALIZING}


@pytest.mark.parametrize("code", states.RUNNING_CODES)
def test_a_job_that_has_begun_ends_only_through_finalized_or_by_our_bug(code):
    ends = MAY_FOLLOW[code] & set(FINAL_CODES)
    assert ends == (OUTCOMES | {StatusCode.INTERNAL_ERROR} if code == "finalized" else {StatusCode.INTERNAL_ERROR})


def test_final_codes_have_no_way_out_but_the_second_try_of_finalising_after_our_own_bug():
    ways_out = {code: MAY_FOLLOW[code] for code in FINAL_CODES if MAY_FOLLOW[code]}
    assert ways_out == {StatusCode.INTERNAL_ERROR: {StatusCode.EXECUTED}}


def test_each_running_code_has_a_step_and_no_other_code_has_one():
    assert set(STEPS) == set(states.RUNNING_CODES)


def test_jobs_begin_as_pending_or_are_ruled_out_at_once():
    assert set(FIRST_CODES) - set(states.PENDING_CODES) == {StatusCode.STALE_CODELISTS}


def test_may_follow_answers_for_plain_strings_too():
    assert states.may_follow("created", "initiated")
    assert not states.may_follow("succeeded", "created")


def test_the_diagram_names_every_code():
    diagram = states.as_mermaid()
    assert [code for code in StatusCode if f" {code}" not in diagram] == []


def test_the_diagram_in_the_readme_is_the_one_that_the_tables_give():
    """To make it anew: scripts/state_diagram.py."""
    text = README.read_text()
    _, _, after = text.partition("<!-- state diagram -->\n")
    shown, _, _ = after.partition("<!-- /state diagram -->")
    assert shown == f"```mermaid\n{states.as_mermaid()}```\n"

"""Which waiting jobs may start: never too many, fair, and nobody waits for ever."""

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.models import Flag
from jobs.states import StatusCode
from runner.capacity import DATABASE, ORDINARY, BadWeights, Candidate, Capacity, Weights, holds

LIMITS = {ORDINARY: 3, DATABASE: 2}


def job(pk: int, workspace: str = "study", action: str = "make_table", command: str = "r:v1 a.r", db: bool = False):
    return Candidate(pk, workspace, action, command, db)


def choose(ready: list[Candidate], running: list[Candidate] = (), weights: Weights | None = None, limits=LIMITS):
    return Capacity(limits, weights or Weights(), running).choose(ready)


def weights_from(tmp_path, text: str) -> Weights:
    path = tmp_path / "weights.ini"
    path.write_text(text)
    return Weights.from_file(path)


def test_older_jobs_start_first():
    assert choose([job(5), job(3), job(4)]) == [3, 4, 5]


def test_no_more_jobs_start_than_there_are_places():
    assert choose([job(1), job(2), job(3), job(4)], running=[job(10)]) == [1, 2]


def test_nothing_starts_when_all_places_are_taken():
    assert choose([job(9)], running=[job(1), job(2), job(3)]) == []


def test_a_workspace_with_fewer_running_jobs_comes_first():
    ready = [job(1, "busy"), job(2, "busy"), job(3, "quiet")]
    assert choose(ready, running=[job(10, "busy")]) == [3, 1]


def test_workspaces_take_turns_when_many_jobs_wait():
    ready = [job(n, "many") for n in range(1, 10)] + [job(100, "few"), job(101, "few")]
    assert choose(ready) == [1, 100, 2]


def test_the_two_pools_do_not_borrow_from_each_other():
    capacity = Capacity(LIMITS, Weights(), [job(1, db=True), job(2, db=True)])
    assert not capacity.is_free(DATABASE) and capacity.is_free(ORDINARY)
    assert capacity.choose([job(3, db=True)]) == []
    assert capacity.choose([job(n) for n in range(4, 10)]) == [4, 5, 6]


def test_what_was_chosen_counts_as_running():
    capacity = Capacity(LIMITS, Weights(), [])
    assert capacity.choose([job(1), job(2)]) == [1, 2]
    assert capacity.choose([job(3), job(4)]) == [3]
    assert not capacity.is_free(ORDINARY)


def test_a_backend_without_database_workers_starts_no_database_job_and_says_so():
    capacity = Capacity({ORDINARY: 1, DATABASE: 0}, Weights(), [])
    assert capacity.choose([job(1, db=True)]) == []
    assert capacity.waiting(DATABASE).code == StatusCode.WAITING_ON_DB_WORKERS
    assert "no database workers" in capacity.waiting(DATABASE).message


@pytest.mark.parametrize(
    ("pool", "code", "words"),
    [
        (ORDINARY, StatusCode.WAITING_ON_WORKERS, "all 3 workers"),
        (DATABASE, StatusCode.WAITING_ON_DB_WORKERS, "all 2 database workers"),
    ],
)
def test_who_waits_for_a_place_is_told_in_which_pool(pool, code, words):
    running = [job(pk, db=pool == DATABASE) for pk in range(LIMITS[pool])]
    told = Capacity(LIMITS, Weights(), running).waiting(pool)
    assert told.code == code and words in told.message


def test_who_waits_behind_a_heavy_job_is_not_told_that_all_places_are_taken():
    told = Capacity(LIMITS, Weights(), [job(1)]).waiting(ORDINARY)
    assert "needs more of the 3 workers than are free" in told.message


def test_a_heavy_job_takes_several_places(tmp_path):
    weights = weights_from(tmp_path, "[*]\nheavy = 2\n")
    assert choose([job(1), job(2, action="heavy"), job(3)], weights=weights) == [1, 2]


def test_light_jobs_do_not_starve_the_heavy_one_in_front_of_them(tmp_path):
    weights = weights_from(tmp_path, "[*]\nheavy = 3\n")
    light = [job(n) for n in range(3, 6)]
    assert choose([job(2, action="heavy"), *light], running=[job(1)], weights=weights) == []
    assert choose([job(2, action="heavy"), *light], weights=weights) == [2]


def test_light_jobs_of_other_workspaces_do_not_starve_it_either(tmp_path):
    weights = weights_from(tmp_path, "[*]\nheavy = 3\n")
    ready = [job(2, "a", action="heavy"), job(3, "b"), job(4, "c")]
    assert choose(ready, running=[job(1, "d")], weights=weights) == []
    assert choose(ready, weights=weights) == [2]


def test_a_job_heavier_than_its_pool_starts_alone(tmp_path):
    weights = weights_from(tmp_path, "[*]\nhuge = 100\n")
    assert choose([job(1, action="huge"), job(2)], weights=weights) == [1]
    assert choose([job(2, action="huge")], running=[job(1)], weights=weights) == []


def test_ten_jobs_of_a_tenth_fill_one_place_although_the_sum_is_not_exact(tmp_path):
    weights = weights_from(tmp_path, "[*]\ntiny = 0.1\n")
    ready = [job(n, action="tiny") for n in range(1, 40)]
    assert choose(ready, weights=weights, limits={ORDINARY: 1, DATABASE: 0}) == list(range(1, 11))
    assert sum([0.1] * 20) > 2
    assert choose(ready, weights=weights, limits={ORDINARY: 2, DATABASE: 0}) == list(range(1, 21))


jobs_of_three_workspaces = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(["light", "normal", "heavy", "huge"])), max_size=30
)
WEIGHT = {"light": 0.25, "normal": 1.0, "heavy": 2.5, "huge": 50.0}


@given(running=jobs_of_three_workspaces, ready=jobs_of_three_workspaces, limit=st.integers(0, 6))
def test_never_more_than_the_limit_and_never_an_unneeded_wait(running, ready, limit):
    """What runs already may exceed a limit that was lowered; then nothing starts."""
    weights = Weights({"*": [(re.compile(f"^{name} "), weight) for name, weight in WEIGHT.items()]})
    busy = [job(n, *both) for n, both in enumerate(running, 1)]
    waiting = [job(n, *both) for n, both in enumerate(ready, 1000)]

    chosen = choose(waiting, busy, weights, {ORDINARY: limit, DATABASE: 0})

    def used(jobs):
        return sum(min(WEIGHT[each.action], limit) for each in jobs)

    by_pk = {each.pk: each for each in waiting}
    started = [by_pk[pk] for pk in chosen]
    assert len(set(chosen)) == len(chosen)
    if started:
        assert used(busy) + used(started) <= limit + 1e-4
    if limit and not busy and waiting:
        assert started  # an empty pool always takes somebody
    for workspace in "abc":
        of_workspace = [each.pk for each in waiting if each.workspace == workspace]
        begun = [pk for pk in chosen if pk in of_workspace]
        assert begun == of_workspace[: len(begun)]  # within a workspace strictly by age


@given(ready=st.lists(st.sampled_from("abcde"), max_size=40), limit=st.integers(1, 10))
def test_among_equal_jobs_no_waiting_workspace_gets_two_places_fewer_than_another(ready, limit):
    waiting = [job(n, workspace) for n, workspace in enumerate(ready, 1)]
    chosen = set(choose(waiting, limits={ORDINARY: limit, DATABASE: 0}))
    places = {w: sum(each.workspace == w and each.pk in chosen for each in waiting) for w in ready}
    still_waiting = [w for w in places if any(each.workspace == w and each.pk not in chosen for each in waiting)]
    assert all(places[w] >= max(places.values()) - 1 for w in still_waiting)


def test_the_workspaces_own_rules_come_before_those_for_all_and_the_first_match_counts(tmp_path):
    weights = weights_from(
        tmp_path,
        """
        # heavy things
        [*]
        cohortextractor:\\S+ generate = 4
        table = 3

        [study]
        ^make_table r:v\\d = 2
        table = 7
        """.replace("        ", ""),
    )
    assert weights.of(job(1)) == 2
    assert weights.of(job(1, action="old_table")) == 7
    assert weights.of(job(1, workspace="another")) == 3
    assert weights.of(job(1, action="x", command="cohortextractor:v1 generate_cohort")) == 4
    assert weights.of(job(1, action="x")) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[*]\ntable = 0\n", "must be a number greater than 0"),
        ("[*]\ntable = -1\n", "must be a number greater than 0"),
        ("[*]\ntable = nan\n", "must be a number greater than 0"),
        ("[*]\ntable = inf\n", "must be a number greater than 0"),
        ("[*]\ntable = much\n", "weight of 'table' must be a number greater than 0, not 'much'"),
        ("[*]\ntable =\n", "must be a number"),
        ("[*]\n( = 2\n", "unterminated subpattern"),
        ("[*]\ntable\n", "parsing errors"),
        ("table = 2\n", "no section headers"),
        ("[*]\ntable = 1\ntable = 2\n", "already exists"),
        ("[DEFAULT]\ntable = 2\n", "DEFAULT"),
    ],
)
def test_a_weights_file_with_a_mistake_is_refused_and_named(tmp_path, text, words):
    with pytest.raises(BadWeights, match=words) as refusal:
        weights_from(tmp_path, text)
    assert str(tmp_path / "weights.ini") in str(refusal.value)


def test_a_weights_file_that_cannot_be_read_is_refused_and_named(tmp_path):
    with pytest.raises(BadWeights, match=r"missing\.ini cannot be used"):
        Weights.from_file(tmp_path / "missing.ini")
    (tmp_path / "binary.ini").write_bytes(b"\xff\xfe")
    with pytest.raises(BadWeights, match=r"binary\.ini cannot be used"):
        Weights.from_file(tmp_path / "binary.ini")


def flag(name: str, value: str = "on") -> Flag:
    set_at = datetime(2026, 3, 4, 5, 6, tzinfo=UTC)
    return Flag(name=name, value=value, set_by="olive", reason="new disk", set_at=set_at)


def held_by(*flags: Flag):
    return {pool: hold.code for pool, hold in holds({flag.name: flag for flag in flags}).items()}


def test_without_flags_nothing_is_held():
    assert held_by() == {}
    assert held_by(*(flag(name, "") for name in Flag.Name)) == {}


def test_database_maintenance_holds_only_database_jobs():
    assert held_by(flag("db-maintenance")) == {DATABASE: StatusCode.WAITING_DB_MAINTENANCE}


def test_a_pause_holds_everything_and_a_reboot_comes_before_it():
    assert set(held_by(flag("paused")).values()) == {StatusCode.PAUSED}
    both_and_maintenance = held_by(flag("paused"), flag("reboot"), flag("db-maintenance"))
    assert both_and_maintenance == {ORDINARY: StatusCode.WAITING_ON_REBOOT, DATABASE: StatusCode.WAITING_ON_REBOOT}


def test_database_jobs_are_told_of_the_pause_rather_than_of_the_maintenance():
    assert held_by(flag("paused"), flag("db-maintenance"))[DATABASE] == StatusCode.PAUSED


@pytest.mark.parametrize("name", Flag.Name)
def test_who_is_held_back_is_told_by_whom_since_when_and_why(name):
    [message] = {hold.message for hold in holds({name: flag(name)}).values()}
    assert "(olive, 2026-03-04 05:06 UTC: new disk)" in message

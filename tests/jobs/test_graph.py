"""Where jobs stand when drawn: by Graphviz in a child, by our own rule without it, and never at a request's cost."""

import json

import pytest

from jobs import graph
from jobs.drawing import MOST_BOXES, Drawing, boxes_of, layered, links_of, one_below_the_other
from jobs.states import StatusCode
from tests.factories import make_job, make_request

SIZES = [(150.0, 44.0)] * 4
DIAMOND = [(0, 1), (0, 2), (1, 3), (2, 3)]


def diamond():
    request = make_request()
    first = make_job(request=request, action="extract")
    left, right = (make_job(request=request, action=name, waits_for=[first]) for name in ("left", "right"))
    make_job(request=request, action="join", waits_for=[left, right])
    return request


def is_apart(drawing: Drawing) -> bool:
    return len({tuple(centre) for centre in drawing.centres}) == len(drawing.centres)


@pytest.mark.parametrize("how", [layered, graph.ask_child])
def test_what_is_needed_stands_left_of_what_needs_it(how):
    drawing = how(SIZES, DIAMOND)
    assert all(drawing.centres[begin][0] < drawing.centres[end][0] for begin, end in DIAMOND)
    assert is_apart(drawing)
    assert len(drawing.paths) == 4
    assert all(0 <= x <= drawing.width and 0 <= y <= drawing.height for x, y in drawing.centres)


def test_for_phones_what_is_needed_stands_above_what_needs_it_and_nothing_is_wide():
    drawing = one_below_the_other(SIZES, DIAMOND)
    assert all(drawing.centres[begin][1] < drawing.centres[end][1] for begin, end in DIAMOND)
    assert is_apart(drawing)
    points = [point for path in drawing.paths for point in path] + drawing.centres
    assert all(0 <= x <= drawing.width and 0 <= y <= drawing.height for x, y in points)
    assert drawing.width <= SIZES[0][0] + 60


def test_for_phones_a_circle_and_nothing_are_drawn_too():
    assert is_apart(one_below_the_other(SIZES, [(0, 1), (1, 0), (2, 3)]))
    assert one_below_the_other([], []).centres == []


def test_a_circle_is_drawn_all_the_same():
    assert is_apart(layered(SIZES, [(0, 1), (1, 0), (2, 3)]))


def test_nothing_is_drawn_as_nothing():
    assert layered([], []).centres == []


@pytest.mark.django_db
def test_the_layout_is_stored_as_numbers_only():
    request = diamond()
    graph.lay_out(request)
    request.refresh_from_db()
    stored = json.dumps(request.graph)
    assert not any(name in stored for name in ("extract", "left", "right", "join"))
    boxes = boxes_of(request)
    assert Drawing.read(request.graph, boxes=len(boxes)).links == links_of(boxes)


@pytest.mark.django_db
def test_what_others_have_made_is_drawn_too():
    earlier, request = make_job(StatusCode.SUCCEEDED, action="extract"), make_request()
    make_job(request=request, action="count", waits_for=[earlier])
    assert [(box.job.action, box.is_foreign) for box in boxes_of(request)] == [("extract", True), ("count", False)]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "program",
    [
        "raise SystemExit(3)",
        "print('no json')",
        "print('{}')",
        "import os; os.kill(os.getpid(), 9)",
        'print(\'{"width": 1e400, "height": 1, "centres": [], "paths": []}\')',
        'print(\'{"width": 1, "height": 1, "centres": [[1, 1]], "paths": []}\')',
        "import time; time.sleep(60)",
    ],
)
def test_a_child_that_fails_touches_no_request(monkeypatch, tmp_path, caplog, program):
    child = tmp_path / "child.py"
    child.write_text(program)
    monkeypatch.setattr(graph.ask_child, "__defaults__", (child,))
    monkeypatch.setattr(graph, "SECONDS", 1)
    request = diamond()
    graph.lay_out(request)
    request.refresh_from_db()
    assert request.graph is None
    assert "could not be laid out" in caplog.text


@pytest.mark.django_db
def test_too_many_jobs_are_not_laid_out(monkeypatch):
    monkeypatch.setattr(graph, "MOST_BOXES", 3)
    request = diamond()
    graph.lay_out(request)
    request.refresh_from_db()
    assert request.graph is None


def test_the_most_that_is_drawn_is_laid_out_in_time():
    links = [(number // 2, number) for number in range(1, MOST_BOXES)]
    assert len(graph.ask_child([(200.0, 44.0)] * MOST_BOXES, links).centres) == MOST_BOXES

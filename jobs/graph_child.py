"""Lays a graph out with Graphviz: JSON from standard input, JSON to standard output, then the end.

A program of its own, run by `jobs.graph`: Graphviz is C code that is not thread-safe, and what it is given is as large
as a study makes it. So it has little memory and little time, and whatever happens to it happens to nothing else.
Knows only numbers: sizes of boxes, which box leads to which.
"""

import json
import resource
import sys

SECONDS, MEMORY = 10, 1 << 30
_POINTS = 72


def main() -> None:
    """Bound this process, then answer."""
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    asked = json.load(sys.stdin)
    json.dump(laid_out(asked["boxes"], asked["links"]), sys.stdout)


def laid_out(boxes: list[list[float]], links: list[list[int]]) -> dict:
    """Boxes are [width, height], links [from, to] by number; positions are of boxes' centres, from the top left."""
    import pygraphviz

    graph = pygraphviz.AGraph(directed=True, rankdir="LR", nodesep="0.25", ranksep="0.6", strict=False)
    for number, (width, height) in enumerate(boxes):
        size = {"width": width / _POINTS, "height": height / _POINTS}
        graph.add_node(number, shape="box", fixedsize="true", label="", **size)
    for number, (begin, end) in enumerate(links):
        graph.add_edge(begin, end, key=str(number))
    graph.layout(prog="dot")
    _, _, width, height = map(float, graph.graph_attr["bb"].split(","))
    centres = [_point(graph.get_node(number).attr["pos"], height) for number in range(len(boxes))]
    paths = [_path(graph.get_edge(*link, key=str(number)).attr["pos"], height) for number, link in enumerate(links)]
    return {"width": width, "height": height, "centres": centres, "paths": paths}


def _point(text: str, height: float) -> list[float]:
    """Graphviz counts from the bottom, and may break long lines."""
    x, y = text.replace("\\\n", "").split(",")
    return [round(float(x), 1), round(height - float(y), 1)]


def _path(text: str, height: float) -> list[list[float]]:
    """Where a curve begins, its Bézier points, and at last the point of the arrow."""
    end, *points = text.replace("\\\n", "").split()
    tip = [_point(end.removeprefix("e,"), height)] if end.startswith("e,") else []
    points = points if tip else [end, *points]
    return [_point(point, height) for point in points] + tip


if __name__ == "__main__":
    main()

"""What actions need of each other: names that exist, nothing twice, no cycle."""

import difflib
from collections.abc import Iterable, Mapping

from jobs.study.errors import MOST_SHOWN, shown
from jobs.study.findings import Place
from jobs.study.yaml_text import Mapping as YamlMapping

_MOST_COMPARED = 1000
_NO_LIST = "`needs` must be a list, like [first_action, second_action]."


def read_needs(entry: YamlMapping, names: Mapping[str, object], place: Place) -> tuple[str, ...]:
    """The needs of one action that can be used, each once, in the order of the file; the others are refused."""
    needed = {}
    with place.findings.going_on():
        for item in _items(entry, names, place):
            with place.findings.going_on():
                needed[_known_name(item, names, place)] = True
    return tuple(needed)


def _known_name(item: object, names: Mapping[str, object], place: Place) -> str:
    name = str(item) if type(item) is int else item
    if not isinstance(name, str):
        place.refuse(f"`needs` holds {shown(name)}, which is not the name of an action.")
    if " " in name and name in names:
        place.newer(f"`needs` holds {shown(name)}: names of actions must not contain blanks.")
    elif " " in name:
        parts = ", ".join(name.split())
        place.refuse(f"actions in `needs` must be separated with commas: write [{parts}].")
    elif name not in names:
        place.refuse(f"`needs` lists unknown action {shown(name)}.{_hint(name, names, place)}")
    return name


def _hint(name: str, names: Mapping[str, object], place: Place) -> str:
    """Comparing is slow, so a file with more faults than are told gets no more hints, and a large study few."""
    if place.findings.has_many:
        return ""
    near = difflib.get_close_matches(name[:MOST_SHOWN], list(names)[:_MOST_COMPARED], n=1)
    return f" Did you mean {shown(near[0])}?" if near else ""


def _items(entry: YamlMapping, names: Mapping[str, object], place: Place) -> Iterable[object]:
    value = entry.get("needs", [])
    if isinstance(value, list):
        return value
    if value is None:
        place.older("`needs` is empty: write [] or remove it.")
        return []
    if isinstance(value, str | dict) and all(str(item) in names for item in value):
        # The older validator went through whatever could be gone through: letters, or keys.
        place.newer(_NO_LIST)
        return list(value)
    place.refuse(_NO_LIST)


def check_no_cycle(needs: Mapping[str, tuple[str, ...]], places: Mapping[str, Place]) -> None:
    """Refuse an action that needs itself, also by way of others. Takes time linear in the number of needs."""
    finished: set[str] = set()
    for root in needs:
        path: dict[str, Iterable[str]] = {} if root in finished else {root: iter(needs[root])}
        while path:
            name = next(reversed(path))
            following = next(path[name], None)
            if following is None:
                finished.add(name)
                del path[name]
            elif following in path:
                _refuse_cycle([*path], following, places)
            elif following not in finished:
                path[following] = iter(needs[following])


def _refuse_cycle(path: list[str], again: str, places: Mapping[str, Place]) -> None:
    cycle = [*path[path.index(again) :], again]
    if len(cycle) == 2:
        places[again].refuse("needs itself: remove it from its `needs`.")
    way = cycle if len(cycle) <= 8 else [*cycle[:6], "…", again]
    places[again].refuse(f"`needs` form a cycle, so none could ever start: {' -> '.join(way)}.")

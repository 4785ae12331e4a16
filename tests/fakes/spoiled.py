"""Faults inside of an answer: what is wrong with it comes as HTTP should. See `faults.py` for the others.

All of them let the job-server do its work first. Those that change results leave answers without results alone.
"""

import gzip
import json
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tests.fakes.faults import Act, Change
from tests.fakes.messages import Answer, Received

Results = list[Any]


def changed_results(change: Callable[[Results], Results]) -> Change:
    """The list with other results; `count` stays, as it would with a buggy server."""

    def spoil(received: Received, act: Act) -> Answer:
        answer = act()
        content = _json_of(answer)
        if not isinstance(content, dict) or "results" not in content:
            return answer
        return _with_content(answer, content | {"results": change(content["results"])})

    return spoil


def changed_text(change: Callable[[str], str]) -> Change:
    """The body with another text, which need not be JSON."""

    def spoil(received: Received, act: Act) -> Answer:
        answer = act()
        return replace(answer, body=change(answer.body.decode()).encode())

    return spoil


def duplicated() -> Change:
    return changed_results(lambda results: [copy for each in results for copy in (each, each)])


def reordered(seed: int) -> Change:
    """Another order for each request, the same for each run of a test."""
    source = random.Random(seed)
    return changed_results(lambda results: source.sample(results, len(results)))


def without(*identifiers: str) -> Change:
    """These requests have disappeared from the list."""
    return changed_results(lambda results: [each for each in results if each["identifier"] not in identifiers])


def of_backend(slug: str) -> Change:
    """All requests are said to belong to another backend."""
    return changed_results(lambda results: [each | {"backend": slug} for each in results])


def with_results(*results: Any) -> Change:
    """These stand before the good ones."""
    return changed_results(lambda good: [*results, *good])


def with_one_malformed() -> Change:
    """A result without most of its keys, one that is no object, and one with nothing in its workspace."""
    return with_results({"identifier": "malformed"}, "not an object", None, {"identifier": "empty", "workspace": None})


def with_wrong_types() -> Change:
    """Every value of every result has a type that the contract excludes."""
    wrong = {str: 7, list: {"a": "list"}, dict: ["an", "object"], bool: "yes", int: "one", type(None): [None]}
    return changed_results(lambda results: [{key: wrong[type(each[key])] for key in each} for each in results])


def with_columns(**columns: Any) -> Change:
    """Every result with these values instead of its own."""
    return changed_results(lambda results: [each | columns for each in results])


def results_instead(results: Any) -> Change:
    """`results` is something else, for instance None, an object or a text."""
    return changed_results(lambda _: results)


def a_list_instead() -> Change:
    """The results without their envelope."""
    return _changed_content(lambda content: content.get("results", [content]))


def not_a_number() -> Change:
    """NaN, which Python writes and reads and JSON does not know."""
    return _changed_content(lambda content: content | {"count": float("nan")})


def deep(levels: int = 200_000) -> Change:
    """An unknown key whose value is nested so deeply that a reader's stack may not suffice."""
    nested = "[" * levels + "]" * levels
    return changed_text(lambda text: f'{{"deep": {nested}, {text[1:]}' if text.startswith("{") else text)


def huge(megabytes: int) -> Change:
    """A body of more than so many megabytes that is right but for an unknown key."""
    return _changed_content(lambda content: {"padding": "x" * megabytes * 1_000_000} | content)


def gzipped() -> Change:
    """Compressed, and said to be so, although nobody asked for it."""

    def spoil(received: Received, act: Act) -> Answer:
        answer = act()
        headers = (*answer.headers, ("Content-Encoding", "gzip"))
        return replace(answer, body=gzip.compress(answer.body), headers=headers)

    return spoil


def _changed_content(change: Callable[[dict], Any]) -> Change:
    def spoil(received: Received, act: Act) -> Answer:
        answer = act()
        content = _json_of(answer)
        return _with_content(answer, change(content)) if isinstance(content, dict) else answer

    return spoil


def _json_of(answer: Answer) -> Any:
    return json.loads(answer.body) if answer.content_type == "application/json" else None


def _with_content(answer: Answer, content: Any) -> Answer:
    return replace(answer, body=json.dumps(content).encode())

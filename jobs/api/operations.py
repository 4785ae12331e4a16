"""How an endpoint is declared: what it needs and what it answers stand in one place, for the check and the document."""

import functools
from collections.abc import Callable

from django.http import HttpRequest
from ninja import Router

from jobs.api.door import Session, Token
from jobs.api.problems import Problem, Trouble
from jobs.people.roles import BASE

_ALWAYS = (401, 403, 422, 429, 500, 503)
_WITH_BODY = (400, 413, 415)


def operation(
    router: Router,
    method: str,
    path: str,
    answer: type | None,
    *,
    permissions: tuple[str, ...] = (),
    changes: bool = False,
    refusals: tuple[int, ...] = (),
    media_type: str = "",
) -> Callable[[Callable], Callable]:
    """Register a function as an endpoint. Its docstring's first line is the summary, the rest the description."""

    def decorate(view: Callable) -> Callable:
        @functools.wraps(view)
        def guarded(request: HttpRequest, *arguments, **named):
            _refuse_strange_parameters(request, known)
            return view(request, *arguments, **named)

        summary, _, description = (view.__doc__ or "").strip().partition("\n")
        needed = (BASE, *permissions)
        told = (
            f"Needs {' and '.join(f'`{name}`' for name in needed)}{', and a token that may change' if changes else ''}."
        )
        statuses = sorted({*_ALWAYS, *refusals, *(_WITH_BODY if method == "POST" else ())})
        router.api_operation(
            [method],
            path,
            auth=[Token(permissions, changes=changes), Session(permissions, changes=changes)],
            response={200: answer, **dict.fromkeys(statuses, Problem)},
            summary=summary.rstrip("."),
            description="\n\n".join(filter(None, [" ".join(description.split()), told])),
            operation_id=view.__name__,
            openapi_extra={"x-permissions": list(needed), "x-changes": changes, "x-media-type": media_type},
        )(guarded)
        known = _query_names(guarded._ninja_operation)
        return guarded

    return decorate


def _query_names(registered) -> set[str]:
    return {
        name
        for model in registered.models
        if model.__ninja_param_source__ == "query"
        for name in model.__ninja_flatten_map__
    }


def _refuse_strange_parameters(request: HttpRequest, known: set[str]) -> None:
    """A misspelt filter would otherwise show everything, and a cancel of that would be too much."""
    strange = [name for name in request.GET if name not in known]
    twice = [name for name, values in request.GET.lists() if len(values) > 1]
    if strange or twice:
        errors = [
            {"where": f"query: {name[:100]}", "what": what}
            for what, names in (("there is no such parameter", strange), ("given more than once", twice))
            for name in names[:10]
        ]
        detail = "; ".join(f"{each['where']}: {each['what']}" for each in errors[:3])
        raise Trouble(422, "The call cannot be understood", detail, errors=errors)

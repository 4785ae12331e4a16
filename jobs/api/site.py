"""The API put together: its routers, its addresses, the document that describes it and the page that shows that."""

import functools

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import path
from django.views.decorators.http import require_safe
from ninja import NinjaAPI

from jobs.api import jobs, logs, requests, system, wishes
from jobs.api.door import StrictParser, door, nothing_here
from jobs.api.problems import MEANINGS, MEDIA_TYPE, handle_problems
from jobs.people.access import allowed
from jobs.people.callers import for_programs

PREFIX = "/api/v1/"
_DESCRIPTION = """What the dashboard shows and asks for, for programs.

Send a token, which you make on the page of your account, as `Authorization: Bearer jr_…`. It may do what you may at
that moment; to change something it must have been made for that. Times are UTC. Every answer has an `ETag`: ask with
`If-None-Match` and hear 304 while nothing has changed. Whatever does not succeed is answered by a problem document."""

_TAGS = ("jobs", "changing jobs", "requests and workspaces", "the system")

api = NinjaAPI(
    title="The API of the job runner", version="1", description=_DESCRIPTION, urls_namespace="api",
    docs_url=None, openapi_url=None, parser=StrictParser(), openapi_extra={"tags": [{"name": tag} for tag in _TAGS]},
)  # fmt: skip
handle_problems(api)
for _router in (wishes.router, jobs.router, logs.router, requests.router, system.router):
    api.add_router("", _router)


def _through_the_door() -> list:
    found = [each for each in api.urls[0] if each.name != "api-root"]
    for each in found:
        each.callback = door(each.callback)
    return [*found, path("", door(nothing_here)), path("<path:rest>", door(nothing_here))]


urlpatterns = _through_the_door()


@functools.cache
def document() -> dict:
    """The OpenAPI document, with what ninja cannot say: problems have a media type of their own, a log is no JSON, a
    parameter that may be left out is not null."""
    made = dict(api.get_openapi_schema(path_prefix=PREFIX))
    for methods in made["paths"].values():
        for operation in methods.values():
            _name_media_types(operation["responses"], operation.pop("x-media-type"))
            operation["parameters"] = [_as_parameter(each) for each in operation["parameters"]]
    return made


def _name_media_types(responses: dict, media_type: str) -> None:
    for status, answer in responses.items():
        if int(status) >= 400:
            answer["description"], example = MEANINGS[int(status)]
            schema = answer["content"]["application/json"]["schema"]
            answer["content"] = {MEDIA_TYPE: {"schema": schema, "example": example | {"status": int(status)}}}
        elif media_type:
            answer["content"] = {media_type: {"schema": {"type": "string"}}}


def _as_parameter(found: dict) -> dict:
    parameter = {key: value for key, value in found.items() if key != "examples"}  # the schema has them, too
    schema = dict(parameter["schema"])
    if choices := [each for each in schema.pop("anyOf", []) if each != {"type": "null"}]:
        schema = choices[0] | schema
    return parameter | {"schema": schema}


@for_programs()
def openapi(request: HttpRequest) -> HttpResponse:
    return JsonResponse(document(), json_dumps_params={"indent": 2})


@require_safe
@allowed()
def docs(request: HttpRequest) -> HttpResponse:
    return render(request, "api/docs.html", {"title": "The API"})

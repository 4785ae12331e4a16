"""The four endpoints and the two pages that describe them. What each does is in the module that it calls."""

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from jobs.models import JobRequest
from jobs.rap import creating, reporting
from jobs.rap.answers import Refused, done
from jobs.rap.description import described
from jobs.rap.endpoint import Call, endpoint, public
from jobs.rap.openapi import document


@endpoint("GET")
def backend_status(call: Call) -> HttpResponse:
    return JsonResponse({"backends": reporting.backends(call.backends & {settings.BACKEND})})


@endpoint("POST", schema="CreateRequest", logs_success=True)
def create(call: Call) -> HttpResponse:
    return creating.create(call)


@endpoint("POST", schema="CancelRequest", logs_success=True)
def cancel(call: Call) -> HttpResponse:
    rap_id, actions = call.body["rap_id"], list(dict.fromkeys(call.body["actions"]))
    with transaction.atomic():
        request = JobRequest.objects.filter(identifier=rap_id, backend__in=call.backends).first()
        known = reporting.actions_of(request) if request else set()
        if not known:
            raise _not_found(f"No jobs found for rap_id {rap_id}", rap_id=rap_id)
        if missing := [action for action in actions if action not in known]:
            details = f"Jobs matching requested cancelled actions could not be found: {', '.join(missing)}"
            raise _not_found(details, rap_id=rap_id, not_found=missing)
        request.ask_to_cancel(actions, by="job-server")
    return done("Success", f"{len(actions)} actions cancelled", count=len(actions))


@endpoint("POST", schema="StatusRequest")
def status(call: Call) -> HttpResponse:
    jobs, unrecognised = reporting.jobs_of(call.body["rap_ids"], call.backends)
    return JsonResponse({"jobs": jobs, "unrecognised_rap_ids": unrecognised})


@public
def spec(request: HttpRequest) -> HttpResponse:
    return JsonResponse(document(), json_dumps_params={"indent": 2})


@public
def docs(request: HttpRequest) -> HttpResponse:
    return render(request, "rap/docs.html", described(document()))


def _not_found(details: str, **more) -> Refused:
    return Refused(404, "jobs not found", details, **more)

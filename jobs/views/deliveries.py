"""Having a job-server told again what it has not acknowledged, or has lost."""

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods

from jobs import asking
from jobs.models import Delivery
from jobs.people.access import allowed, who
from jobs.reasons import LONGEST_REASON, NoReason


class ReasonForm(forms.Form):
    reason = forms.CharField(
        max_length=LONGEST_REASON, error_messages={"required": "Say why."},
        widget=forms.Textarea(attrs={"rows": 2, "class": "form-control", "autofocus": True}),
    )  # fmt: skip


@allowed("jobs.change_delivery")
@require_http_methods(["GET", "HEAD", "POST"])
def tell_again(request: HttpRequest, identifier: str) -> HttpResponse:
    delivery = get_object_or_404(Delivery.objects.select_related("request"), request__identifier=identifier)
    form = ReasonForm(request.POST or None, initial={"reason": request.GET.get("reason", "")[:LONGEST_REASON]})
    if request.method == "POST" and form.is_valid() and _is_told(request, delivery, form.cleaned_data["reason"]):
        return redirect("system")
    context = {"title": "Tell the job-server again", "section": "system", "delivery": delivery, "form": form}
    return render(request, "system/tell_again.html", context, status=400 if form.is_bound else 200)


def _is_told(request: HttpRequest, delivery: Delivery, reason: str) -> bool:
    try:
        asking.tell_again([delivery.pk], who(request), reason)
    except NoReason as error:
        messages.error(request, str(error))
        return False
    messages.success(request, f"Request {delivery.request.identifier} will be told to the job-server again.")
    return True

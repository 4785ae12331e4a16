"""Having the runner ask again about a container that Docker did not answer about."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from jobs import asking
from jobs.models import Quarantine
from jobs.people.access import allowed, who
from jobs.reasons import LONGEST_REASON, NoReason
from jobs.views.deliveries import ReasonForm
from jobs.views.named import no_such


@allowed("jobs.change_quarantine")
@require_http_methods(["GET", "HEAD", "POST"])
def release_container(request: HttpRequest, name: str) -> HttpResponse:
    row = Quarantine.objects.filter(name=name).select_related("job").first()
    if row is None:
        raise no_such("container in quarantine called", name)
    form = ReasonForm(request.POST or None, initial={"reason": request.GET.get("reason", "")[:LONGEST_REASON]})
    if request.method == "POST" and form.is_valid() and _is_asked_for(request, name, form.cleaned_data["reason"]):
        return redirect("system")
    context = {"title": f"Release container {name}", "section": "system", "row": row, "form": form}
    return render(request, "system/release_container.html", context, status=400 if form.is_bound else 200)


def _is_asked_for(request: HttpRequest, name: str, reason: str) -> bool:
    """Somebody else may have been faster; then there is nothing left to ask for either."""
    try:
        (result,) = asking.release_containers([name], who(request), reason)
    except NoReason as error:
        messages.error(request, str(error))
        return False
    if result.was_done:
        messages.success(request, f"Container {name} is released: the runner asks about it again at once.")
    else:
        messages.warning(request, f"Nothing was changed: container {name} {result.sentence}.")
    return True

"""Whether the backend can work at all, and what to do if it cannot."""

from django.http import HttpRequest

from jobs.people.access import allowed
from jobs.views.frame import Frame
from jobs.views.live import live_page


@allowed()
@live_page("system/system.html", "system/_system.html", lambda request: (Frame.of(request).problems,))
def system(request: HttpRequest) -> dict:
    return {"title": "System", "section": "system", "problems": Frame.of(request).problems}

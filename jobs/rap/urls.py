"""Addresses of the RAP API, below /controller/v1/. Each is also known without its last slash, to say where it is."""

from django.urls import path

from jobs.rap import views
from jobs.rap.endpoint import with_slash

_PAGES = {
    "backend/status": views.backend_status,
    "rap/create": views.create,
    "rap/cancel": views.cancel,
    "rap/status": views.status,
    "docs": views.docs,
}
urlpatterns = [
    *(path(f"{address}/", view) for address, view in _PAGES.items()),
    *(path(address, with_slash) for address in _PAGES),
    path("spec.json", views.spec),
]

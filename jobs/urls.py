"""Pages of the dashboard, and the RAP API. Until the pages exist, the front page is the admin's list of jobs."""

from django.urls import include, path
from django.views.generic import RedirectView

urlpatterns = [
    path("", RedirectView.as_view(url="/admin/jobs/job/"), name="home"),
    path("controller/v1/", include("jobs.rap.urls")),
]

"""Pages of the dashboard. Until they exist, the front page is the admin's list of jobs."""

from django.urls import path
from django.views.generic import RedirectView

urlpatterns = [
    path("", RedirectView.as_view(url="/admin/jobs/job/"), name="home"),
]

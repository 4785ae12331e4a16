"""Where each page of the dashboard is, and the RAP API."""

from django.urls import include, path
from django.views.generic import RedirectView

from jobs.api import site
from jobs.people.log_in import change_password, log_in, log_out
from jobs.views import (
    account,
    audit,
    badge,
    bulk,
    chores,
    containers,
    deliveries,
    feeds,
    flags,
    job_list,
    job_log,
    job_page,
    job_resources,
    metrics,
    request_list,
    request_page,
    saved_views,
    search,
    system,
    tokens,
    workspace,
)

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="jobs", query_string=True), name="home"),
    # Jobs
    path("jobs/", job_list.jobs, name="jobs"),
    path("jobs/cancel/", bulk.cancel_jobs, name="cancel-jobs"),
    path("jobs/kill/", bulk.kill_jobs, name="kill-jobs"),
    path("jobs/retry/", bulk.retry_jobs, name="retry-jobs"),
    path("jobs/clear/", bulk.clear_jobs, name="clear-jobs"),
    path("views/", saved_views.save_view, name="save-view"),
    path("views/<slug:slug>/", saved_views.saved_view, name="saved-view"),
    path("views/<slug:slug>/delete/", saved_views.delete_view, name="delete-view"),
    path("j/<str:identifier>/", job_page.job, name="job"),
    path("j/<str:identifier>/samples.json", job_resources.samples, name="job-samples"),
    path("j/<str:identifier>/provenance.json", job_page.job_facts, name="job-provenance"),
    path("j/<str:identifier>/log/", job_log.log_page, name="job-log"),
    path("j/<str:identifier>/log/new", job_log.log_news, name="job-log-news"),
    path("j/<str:identifier>/log/search", job_log.log_search, name="job-log-search"),
    path("j/<str:identifier>/log/raw", job_log.log_download, {"suffix": ""}, name="job-log-raw"),
    path("j/<str:identifier>/log/raw.gz", job_log.log_download, {"suffix": ".gz"}, name="job-log-gz"),
    # Requests
    path("requests/", request_list.requests, name="requests"),
    path("requests/<path:identifier>/refuse/", request_page.refuse, name="refuse-request"),
    path("r/<path:identifier>/", request_page.request_page, name="request"),
    # Workspaces
    path("w/", workspace.workspaces, name="workspaces"),
    path("w/<str:name>/", workspace.workspace, name="workspace"),
    # The system
    path("system/", system.system, name="system"),
    path("system/flags/<str:name>/", flags.switch_flag, name="switch-flag"),
    path("system/deliveries/<path:identifier>/", deliveries.tell_again, name="tell-again"),
    path("system/chores/<str:name>/", chores.chore, name="chore"),
    path("system/chores/<str:name>/ask/", chores.ask, name="ask-chore"),
    path("system/containers/<str:name>/release/", containers.release_container, name="release-container"),
    path("audit/", audit.audit, name="audit"),
    path("audit/export.<str:form>", audit.export, name="export-audit"),
    path("search/", search.search, name="search"),
    # People
    path("login/", log_in, name="login"),
    path("logout/", log_out, name="logout"),
    path("account/", account.account, name="account"),
    path("account/sessions/end/", account.end_session, name="end-session"),
    path("account/password/", change_password, name="change-password"),
    path("account/tokens/", tokens.tokens, name="tokens"),
    path("account/tokens/<int:pk>/revoke/", tokens.revoke_token, name="revoke-token"),
    # For programs
    path("api/v1/", include((site.urlpatterns, "api"))),
    path("api/docs", site.docs, name="api-docs"),
    path("api/openapi.json", site.openapi, name="openapi"),
    path("feeds/failures.atom", feeds.failures, name="failures-feed"),
    path("feeds/w/<str:name>.atom", feeds.of_workspace, name="workspace-feed"),
    path("badge/<str:name>.svg", badge.badge, name="badge"),
    path("cc.xml", badge.cctray, name="cctray"),
    path("metrics", metrics.metrics, name="metrics"),
    path("controller/v1/", include("jobs.rap.urls")),
]

"""Every page that there is, with data in it: one list for all that looks at each of them (and for screenshots)."""

from jobs.models.job import job_identifier
from tests.showcase import names


def job(request: str, action: str) -> str:
    return f"/j/{job_identifier(request, action)}/"


RUNNING, FAILED = job(names.RUNS, "model_adjusted"), job(names.FAILS, "model_unadjusted")
WAITING, ENDED = job(names.WAITS, "generate_dataset"), job(names.EARLIER, "clean_data")
TABS = ("resources", "outputs", "provenance", "changes", "events")
# What is looked at -> its address. A name is that of the route in jobs/urls.py, with a word more if there are several.
PAGES: dict[str, str] = {
    "jobs": "/jobs/",
    "jobs none": "/jobs/?workspace=no-such-workspace",
    "jobs grouped": "/jobs/?group=request",
    "cancel-jobs": f"/jobs/cancel/?job={RUNNING.split('/')[2]}",
    "kill-jobs": f"/jobs/kill/?job={RUNNING.split('/')[2]}",
    "clear-jobs": f"/jobs/clear/?job={FAILED.split('/')[2]}",
    "retry-jobs": f"/jobs/retry/?job={FAILED.split('/')[2]}",
    "saved-view": "/views/of-diabetes/",
    "job running": RUNNING,
    "job failed": FAILED,
    "job waiting": WAITING,
    "job ended": ENDED,
    **{f"job ended {tab}": f"{ENDED}?tab={tab}" for tab in TABS},
    **{f"job failed {tab}": f"{FAILED}?tab={tab}" for tab in TABS},
    "job-log": f"{FAILED}log/",
    "requests": "/requests/",
    "request running": f"/r/{names.RUNS}/",
    "request failed": f"/r/{names.FAILS}/",
    "request refused": f"/r/{names.REFUSED}/",
    "request unplanned": f"/r/{names.UNPLANNED}/",
    "request timeline": f"/r/{names.RUNS}/?tab=timeline",
    "request events": f"/r/{names.RUNS}/?tab=events",
    "request file": f"/r/{names.REFUSED}/?tab=file",
    "request original": f"/r/{names.RUNS}/?tab=original",
    "refuse-request": f"/requests/{names.UNPLANNED}/refuse/",
    "workspaces": "/w/",
    "workspace": f"/w/{names.DIABETES}/",
    "system": "/system/",
    "switch-flag": "/system/flags/paused/",
    "chore": "/system/chores/snapshot/",
    "ask-chore": "/system/chores/export/ask/",
    "release-container": f"/system/containers/jobrunner-{RUNNING.split('/')[2]}-1/release/",
    "audit": "/audit/",
    "search": "/search/?q=model",
    "search none": "/search/?q=nothing-is-called-so",
    "account": "/account/",
    "change-password": "/account/password/",
    "tokens": "/account/tokens/",
    "api-docs": "/api/docs",
    "admin": "/admin/",
    "admin jobs": "/admin/jobs/job/",
    "admin requests": "/admin/jobs/jobrequest/",
    "not found": "/j/no-such-job/",
}
SIGNED_OUT = {"login": "/login/"}
# Routes that are no pages: they lead on, are asked by programs, or only take a POST.
NO_PAGES = (
    "home", "logout", "end-session", "revoke-token", "openapi", "failures-feed", "workspace-feed", "badge", "cctray",
    "metrics", "job-log-news", "job-log-search", "job-log-raw", "job-log-gz", "tell-again", "export-audit",
    "save-view", "delete-view", "job-provenance", "job-samples",
)  # fmt: skip

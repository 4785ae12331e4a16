"""Who may do what at which address: one line for each, held against the site by test_matrix.py.

A new page needs one line in TABLE, under its URL's name (with its namespace; without a name: under its route):

    "job": page(VIEWER),            looked at by viewers and better; any other method is 405
    "cancel-jobs": form(OPERATOR),  looked at and sent by operators and better
    "logout": act(EVERYBODY),       only sent; looking at it is 405

`get` and `post` name the least level that is let in, or METHOD where the method itself is refused. PUT, PATCH and
DELETE are refused everywhere but where a line says `put`. The pages of a model in the admin are one `admin_table`.
"""

from dataclasses import dataclass

EVERYBODY, SIGNED_IN, VIEWER, OPERATOR, ADMINISTRATOR, SUPERUSER, NO_ONE, METHOD = range(8)
# Whose calls are tried, and what level each has.
LEVELS = {
    "anonymous": EVERYBODY,
    "disabled": EVERYBODY,
    "nobody": SIGNED_IN,
    "viewer": VIEWER,
    "operator": OPERATOR,
    "administrator": ADMINISTRATOR,
    "superuser": SUPERUSER,
}


@dataclass(frozen=True)
class Rule:
    get: int
    post: int
    put: int = METHOD
    needs_csrf: bool = True

    def level(self, method: str) -> int:
        return {"GET": self.get, "HEAD": self.get, "POST": self.post}.get(method, self.put)


def page(level: int) -> Rule:
    return Rule(level, METHOD)


def form(level: int) -> Rule:
    return Rule(level, level)


def act(level: int) -> Rule:
    return Rule(METHOD, level)


def by_token() -> Rule:
    """The RAP API: no session opens it."""
    return Rule(NO_ONE, NO_ONE, needs_csrf=False)


def redirect(level: int) -> Rule:
    """Leads elsewhere, whatever the method: nothing is changed."""
    return Rule(level, level, level, needs_csrf=False)


def admin_table(name: str, see: int, *, add: int = NO_ONE, change: int = NO_ONE) -> dict[str, Rule]:
    """All pages of a model in the admin. An action is sent to the list, and is offered by a permission of its own."""
    app, _, model = name.partition("_")
    return {
        f"admin:{name}_changelist": form(see),
        f"admin:{name}_add": form(add),
        f"admin:{name}_history": form(see),
        f"admin:{name}_delete": form(NO_ONE),
        f"admin:{name}_change": Rule(see, change),
        f"admin/{app}/{model}/<path:object_id>/": form(OPERATOR),  # leads to the change page
    }


# What a token opens besides the API; everywhere else it is nothing.
OPEN_BY_TOKEN = ("openapi", "failures-feed", "workspace-feed", "badge", "cctray", "metrics")

TABLE: dict[str, Rule] = {
    "home": redirect(SIGNED_IN),
    # Jobs
    "jobs": page(VIEWER),
    "job": page(VIEWER),
    "job-samples": page(VIEWER),
    "job-provenance": page(VIEWER),
    "job-log": page(OPERATOR),
    "job-log-news": page(OPERATOR),
    "job-log-search": page(OPERATOR),
    "job-log-raw": page(OPERATOR),
    "job-log-gz": page(OPERATOR),
    "cancel-jobs": form(OPERATOR),
    "kill-jobs": form(OPERATOR),
    "retry-jobs": form(OPERATOR),
    "clear-jobs": form(OPERATOR),
    "save-view": act(VIEWER),
    "saved-view": page(VIEWER),
    "delete-view": act(VIEWER),
    # Requests
    "requests": page(VIEWER),
    "request": page(VIEWER),
    "refuse-request": form(OPERATOR),
    # Workspaces
    "workspaces": page(VIEWER),
    "workspace": page(VIEWER),
    # The system
    "system": page(VIEWER),
    "switch-flag": form(OPERATOR),
    "tell-again": form(OPERATOR),
    "chore": page(VIEWER),
    "ask-chore": form(OPERATOR),
    "release-container": form(OPERATOR),
    "search": page(VIEWER),
    # People
    "login": form(EVERYBODY),
    "logout": act(EVERYBODY),
    "account": page(SIGNED_IN),
    "end-session": act(SIGNED_IN),
    "change-password": form(SIGNED_IN),
    "tokens": form(VIEWER),
    "revoke-token": act(VIEWER),
    "audit": page(OPERATOR),
    "export-audit": page(OPERATOR),
    # For programs, by session or token (the tokens: tests/jobs/api)
    "api:cancel_jobs": act(OPERATOR),
    "api:kill_jobs": act(OPERATOR),
    "api:retry_jobs": act(OPERATOR),
    "api:rerun_jobs": act(OPERATOR),
    "api:list_jobs": page(VIEWER),
    "api:get_job": page(VIEWER),
    "api:list_changes": page(VIEWER),
    "api:list_outputs": page(VIEWER),
    "api:get_log": page(OPERATOR),
    "api:list_requests": page(VIEWER),
    "api:get_request": page(VIEWER),
    "api:list_workspaces": page(VIEWER),
    "api:list_workspace_outputs": page(VIEWER),
    "api:whoami": page(VIEWER),
    "api:get_system": page(VIEWER),
    "api:get_reboot": page(VIEWER),
    "api:list_flags": page(VIEWER),
    "api:list_flag_history": page(VIEWER),
    "api:switch_flag": Rule(METHOD, OPERATOR),
    **dict.fromkeys(("api/v1/", "api/v1/<path:rest>"), redirect(EVERYBODY)),  # 404, as a program reads it
    "api-docs": page(VIEWER),
    "openapi": page(VIEWER),
    "failures-feed": page(VIEWER),
    "workspace-feed": page(VIEWER),
    "badge": page(VIEWER),
    "cctray": page(VIEWER),
    "metrics": page(VIEWER),
    # The RAP API
    **dict.fromkeys(
        (f"controller/v1/{call}/" for call in ("backend/status", "rap/create", "rap/cancel", "rap/status")), by_token()
    ),
    **dict.fromkeys(
        (f"controller/v1/{call}" for call in ("backend/status", "rap/create", "rap/cancel", "rap/status", "docs")),
        redirect(EVERYBODY),
    ),
    "controller/v1/docs/": page(EVERYBODY),
    "controller/v1/spec.json": page(EVERYBODY),
    # The admin
    "admin:index": form(OPERATOR),
    "admin:login": Rule(NO_ONE, NO_ONE, NO_ONE, needs_csrf=False),  # leads to ours
    "admin:logout": act(OPERATOR),
    "admin:password_change": form(OPERATOR),
    "admin:password_change_done": form(OPERATOR),
    "admin:autocomplete": form(NO_ONE),  # no field of ours completes
    "admin:jsi18n": page(OPERATOR),
    "admin:view_on_site": form(OPERATOR),
    "admin:app_list": form(OPERATOR),
    "admin/(?P<url>.*)$": form(OPERATOR),
    **admin_table("auth_user", ADMINISTRATOR, add=ADMINISTRATOR, change=ADMINISTRATOR),
    "admin:auth_user_password_change": form(ADMINISTRATOR),
    **admin_table("auth_group", ADMINISTRATOR),
    **admin_table("jobs_apitoken", ADMINISTRATOR),
    **admin_table("jobs_auditentry", OPERATOR),
    **admin_table("jobs_chorerun", OPERATOR),
    **admin_table("jobs_delivery", OPERATOR),
    **admin_table("jobs_flag", OPERATOR, add=OPERATOR),
    **admin_table("jobs_heartbeat", OPERATOR),
    **admin_table("jobs_job", OPERATOR),
    **admin_table("jobs_joboutput", OPERATOR),
    **admin_table("jobs_jobrequest", OPERATOR),
    **admin_table("jobs_logincount", ADMINISTRATOR),
    **admin_table("jobs_notice", OPERATOR),
    **admin_table("jobs_quarantine", OPERATOR),
    **admin_table("jobs_savedview", ADMINISTRATOR),
    **admin_table("jobs_statuschange", OPERATOR),
    **admin_table("jobs_storagecheck", OPERATOR),
}

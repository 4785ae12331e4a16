"""The polling side of the API: one received request in, one answer out. Sections 1.1 to 1.3 of the contract."""

import json
from urllib.parse import parse_qsl, urlencode, urlsplit

from tests.fakes.messages import HTML, JSON, Answer, Received, html_answer, json_answer
from tests.fakes.store import Backend, IdentifierTaken, Store, request_to_remote
from tests.fakes.validation import checked_payload

LIST_PATH, JOBS_PATH = "/api/v2/job-requests/", "/api/v2/jobs/"
METHODS = {LIST_PATH: "GET, HEAD, OPTIONS", JOBS_PATH: "POST, OPTIONS"}
PAGE_SIZE = 100
OLD_SERVER_ERROR = "A server error occurred.  Please contact the administrator."


class Stop(Exception):
    """The answer is known early."""

    def __init__(self, answer: Answer):
        super().__init__(answer.status)
        self.answer = answer


def answer_to(received: Received, store: Store) -> Answer:
    if received.path not in METHODS:
        return wrong_path(received, store)
    allow = ("Allow", METHODS[received.path])
    try:
        wants_html = negotiate(received)
        backend = authenticate(received, store)
        if received.method not in METHODS[received.path].split(", ")[:1]:
            raise Stop(json_answer(405, {"detail": f'Method "{received.method}" not allowed.'}))
        content = posted(received, store) if received.path == JOBS_PATH else listing(received, store, backend)
    except Stop as stop:
        return Answer(stop.answer.status, stop.answer.body, stop.answer.content_type, (allow,))
    return html_answer(200, "Browsable API", allow) if wants_html else json_answer(200, content, allow)


def wrong_path(received: Received, store: Store) -> Answer:
    parts = urlsplit(received.target)
    if f"{parts.path}/" in METHODS:
        location = f"{parts.path}/?{parts.query}" if parts.query else f"{parts.path}/"
        return html_answer(301, "", ("Location", location))
    return server_error(store) if store.era.unknown_path == 500 else html_answer(store.era.unknown_path, "Not Found")


def server_error(store: Store) -> Answer:
    """As with DEBUG off: the oldest servers say it in plain text."""
    if store.era.unknown_path == 500:
        return Answer(500, OLD_SERVER_ERROR.encode(), "text/plain")
    return html_answer(500, "Server Error (500)")


def negotiate(received: Received) -> bool:
    """True for the page that people see, False for JSON; Stop with 406 for anything else."""
    accept = received.headers.get("accept", "*/*")
    wanted = sorted((each.split(";")[0].strip() for each in accept.split(",")), key=lambda each: each.count("*"))
    for each in wanted:
        if each in (JSON, "application/*", "*/*"):
            return False
        if each in ("text/html", "text/*"):
            return True
    raise Stop(json_answer(406, {"detail": "Could not satisfy the request Accept header."}))


def authenticate(received: Received, store: Store) -> Backend | None:
    """The backend of the token. Without a token GET job-requests knows none; anything else is a Stop with 403."""
    token = received.headers.get("authorization")
    if not token:
        if received.path == LIST_PATH:
            return None
        raise Stop(json_answer(403, {"detail": f"Authorization header is {'missing' if token is None else 'empty'}"}))
    backend = next((each for each in store.backends.values() if each.token == token.strip()), None)
    if backend is None:
        raise Stop(json_answer(403, {"detail": "Invalid token"}))
    store.saw(backend, read_flags(received, store))
    return backend


def read_flags(received: Received, store: Store) -> dict | None:
    header = received.headers.get("flags")
    if header is None or not store.era.reads_flags:
        return None
    try:
        flags = json.loads(header)
    except ValueError as error:
        raise Stop(server_error(store)) from error
    return flags if isinstance(flags, dict) else None


def listing(received: Received, store: Store, backend: Backend | None) -> dict:
    """The envelope with one page of the active requests."""
    parameter = received.query.get("backend")
    slug = backend.slug if backend else None
    if store.era.parameter_wins and parameter:
        slug = parameter
    limit, offset = number(received, "limit", 1, PAGE_SIZE), number(received, "offset", 0, 0)
    with store.lock:
        requests = store.listed(slug)
        if store.era.needs_creator and any(each.created_by is None for each in requests):
            raise Stop(server_error(store))
        results = [request_to_remote(each, store.era) for each in requests[offset : offset + limit]]
    return {
        "count": len(requests),
        "next": page_url(received, limit, offset + limit) if offset + limit < len(requests) else None,
        "previous": page_url(received, limit, max(offset - limit, 0)) if offset > 0 else None,
        "results": results,
    }


def number(received: Received, name: str, smallest: int, default: int) -> int:
    try:
        value = int(received.query.get(name, default))
    except ValueError:
        return default
    return value if value >= smallest else default


def page_url(received: Received, limit: int, offset: int) -> str:
    """Absolute, of the Host header, and always with http: a client that follows it sends its token in clear."""
    parts = urlsplit(received.target)
    query = dict(parse_qsl(parts.query, keep_blank_values=True)) | {"limit": limit, "offset": offset}
    if not offset:
        del query["offset"]
    host = received.headers.get("host", "job-server.example")
    return f"http://{host}{parts.path}?{urlencode(sorted(query.items()))}"


def posted(received: Received, store: Store) -> dict:
    """Check and store the jobs; Stop with the era's answer if it does not want them."""
    jobs, errors = checked_payload(payload_of(received, store), store.era)
    if errors is not None:
        raise Stop(json_answer(400, errors))
    if not jobs and store.era.empty_list_fails:
        raise Stop(server_error(store))
    try:
        unknown = store.store_jobs(jobs)
    except IdentifierTaken as taken:
        raise Stop(server_error(store)) from taken
    if unknown and store.era.refuses_unknown_requests:
        raise Stop(json_answer(400, [f"Unknown JobRequest IDs: {', '.join(unknown)}"]))
    return {"status": "success"}


def payload_of(received: Received, store: Store) -> object:
    kind = received.headers.get("content-type", "").split(";")[0].strip()
    limit = store.era.body_limit
    if limit is not None and len(received.body) > limit:
        raise Stop(Answer(400, b"<!DOCTYPE html><h1>Bad Request (400)</h1>", HTML))
    if kind != JSON:
        raise Stop(json_answer(415, {"detail": f'Unsupported media type "{kind}" in request.'}))
    try:
        return json.loads(received.body.decode(), parse_constant=refuse_constant)
    except ValueError as error:
        raise Stop(json_answer(400, {"detail": f"JSON parse error - {error}"})) from error


def refuse_constant(name: str) -> None:
    raise ValueError(f"Out of range float values are not JSON compliant: '{name}'")

"""Pages of a real browser that note everything which no page of ours may do: `Watched.troubles`.

Violations of the content security policy, errors on the console, exceptions nobody caught, files that did not come,
dialogs that no test asked for, and calls of other hosts, which the browser cannot reach here anyway.
"""

from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Dialog, Page, Request, Response

TELL_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) => console.error(
    `policy: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber} ${event.sample}`));
"""
KINDS_OF_ASSETS = ("stylesheet", "script", "image", "font", "manifest")


class Watched:
    """Of one context; `expect` names what a test provokes itself, by a part of the sentence."""

    def __init__(self, context: BrowserContext, host: str):
        self.troubles: list[str] = []
        self._host, self._expected = host, []
        context.add_init_script(TELL_VIOLATIONS)
        context.on("page", self._watch)

    def expect(self, *parts: str) -> None:
        self._expected += parts

    def assert_clean(self) -> None:
        found = [trouble for trouble in self.troubles if not any(part in trouble for part in self._expected)]
        assert not found, "\n".join(found)

    def _watch(self, page: Page) -> None:
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.troubles.append(f"uncaught: {error}"))
        page.on("request", self._request)
        page.on("response", self._response)
        page.on("requestfailed", self._failed)
        page.on("dialog", self._dialog)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error" or "Content Security Policy" in message.text:
            self.troubles.append(f"console: {message.text} ({message.location.get('url', '')})")

    def _request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in ("data", "blob", "about") and parts.netloc != self._host:
            self.troubles.append(f"another host: {request.url}")

    def _response(self, response: Response) -> None:
        if response.status >= 400 and response.request.resource_type in KINDS_OF_ASSETS:
            self.troubles.append(f"asset: {response.status} {response.url}")

    def _failed(self, request: Request) -> None:
        if request.resource_type in KINDS_OF_ASSETS and request.failure != "net::ERR_ABORTED":
            self.troubles.append(f"asset: {request.failure} {request.url}")

    def _dialog(self, dialog: Dialog) -> None:
        self.troubles.append(f"dialog: {dialog.message}")
        dialog.dismiss()

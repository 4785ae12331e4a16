"""What a server repeats of our secrets is hidden, however it spells it, and nothing else is."""

import base64
import html
import json
from urllib.parse import quote

import pytest

from sync.redaction import STARS, redact

TOKEN = "se'cret/to\"k&en<0>+\\123"
USER, PASSWORD = "proxy-user", "pass:w/o@rd ü"


@pytest.fixture(autouse=True)
def site(settings):
    settings.JOB_SERVER_TOKEN = TOKEN
    settings.JOB_SERVER_PROXY = f"http://{USER}:{quote(PASSWORD, safe='')}@proxy.example.org:3128/"


def escaped(text: str) -> str:
    r"""Each sign as \uNNNN."""
    return "".join(f"\\u{ord(sign):04X}" for sign in text)


SPELLINGS = {
    "plain": lambda text: text,
    "in capitals": str.upper,
    "JSON": lambda text: json.dumps(text)[1:-1],
    "JSON of PHP": lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    "JSON in JSON": lambda text: json.dumps(json.dumps(text))[3:-3],
    "JSON in JSON in JSON": lambda text: json.dumps(json.dumps(json.dumps(text)))[7:-7],
    "JSON, one sign escaped": lambda text: escaped(text[0]) + text[1:],
    "JSON, all signs escaped": escaped,
    "JSON in JSON, all signs escaped": lambda text: escaped(text).replace("\\", "\\\\"),
    "address": lambda text: quote(text, safe=""),
    "address, small letters": lambda text: "".join(f"%{octet:02x}" for octet in text.encode()),
    "HTML": html.escape,
    "HTML, numbers": lambda text: "".join(f"&#{ord(sign)};" for sign in text),
    "HTML, other numbers": lambda text: "".join(f"&#x{ord(sign):04X};" for sign in text),
    "Python": lambda text: repr(text)[1:-1],
}


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS.keys())
@pytest.mark.parametrize("secret", [TOKEN, PASSWORD, USER], ids=["token", "password", "user"])
def test_a_secret_is_hidden_however_it_is_spelt(secret, spell):
    assert redact(f"You said {spell(secret)}, twice: {spell(secret)}.") == f"You said {STARS}, twice: {STARS}."


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
@pytest.mark.parametrize("password", [PASSWORD, quote(PASSWORD, safe="")], ids=["decoded", "as it is set"])
def test_what_the_proxy_is_sent_is_hidden(password, encoding):
    sent = base64.b64encode(f"{USER}:{password}".encode(encoding)).decode()
    assert sent.rstrip("=") not in redact(f"The proxy has got Basic {sent}.")


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Authorization: Basic xyz==\r\nHost: a", f"Authorization: {STARS}\r\nHost: a"),
        ("PROXY-AUTHORIZATION:xyz", f"PROXY-AUTHORIZATION:{STARS}"),
        ('{"Authorization": "Bearer xyz", "a": 1}', f'{{"Authorization": "{STARS}", "a": 1}}'),
        ("{'HTTP_AUTHORIZATION': 'xyz', 'a': 1}", f"{{'HTTP_AUTHORIZATION': '{STARS}', 'a': 1}}"),
        ('{"authorization": ["xyz"]}', f'{{"authorization": ["{STARS}"]}}'),
        (r'"{\"Authorization\": \"xyz\\/\\u0061\"}"', rf'"{{\"Authorization\": \"{STARS}\"}}"'),
        (r'"Authorization: xyz\r\nHost: a"', rf'"Authorization: {STARS}\r\nHost: a"'),
        ("<p>Authorization: xyz</p>", f"<p>Authorization: {STARS}</p>"),
        ("authorization=xyz", f"authorization={STARS}"),
    ],
)
def test_what_any_authorization_header_says_is_hidden(said, shown):
    assert redact(said) == shown


@pytest.mark.parametrize(
    "text",
    ["", "Authorization header is missing", '{"detail": "Invalid token"}', "se'cret", "proxy.example.org:3128", "%73"],
)
def test_other_text_stays_as_it_is(text):
    assert redact(text) == text


def test_a_short_password_is_hidden_only_where_it_stands_alone(settings):
    settings.JOB_SERVER_PROXY = "http://al:a@proxy"
    assert redact("al said a to all at (a:b)") == f"{STARS} said {STARS} to all at ({STARS}:b)"


def test_a_secret_that_is_a_part_of_another_leaves_nothing_of_it(settings):
    settings.JOB_SERVER_TOKEN, settings.JOB_SERVER_PROXY = "secret-and-more", "http://more:secret@proxy"
    assert redact("<secret-and-more> <secret> <more>") == f"<{STARS}> <{STARS}> <{STARS}>"


@pytest.mark.parametrize("proxy", ["", "http://proxy.example.org:3128"])
def test_where_there_is_nothing_to_hide_nothing_is_hidden(settings, proxy):
    settings.JOB_SERVER_TOKEN, settings.JOB_SERVER_PROXY = "", proxy
    assert redact("a proxy at proxy.example.org:3128") == "a proxy at proxy.example.org:3128"


def test_a_user_without_a_password_is_hidden(settings):
    settings.JOB_SERVER_PROXY = "http://a-long-key@proxy"
    encoded = base64.b64encode(b"a-long-key:").decode()
    assert redact(f"a-long-key {encoded}") == f"{STARS} {STARS}="

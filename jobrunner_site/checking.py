"""What is wrong with settings that can be read but cannot work, or are dangerous: sentences for the one message.

Values in, problems out: nothing here reads the environment (`settings` does) or knows Django's settings.
"""

import ipaddress
import re
import shlex
import ssl
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

# The engine refuses to make a container with less.
LEAST_MEMORY = 6 * 1024**2
_HOST = re.compile(r"[a-z0-9_.-]+(:\d+)?|\[[0-9a-f:.]+\](:\d+)?")
_ADDRESS = re.compile(r"https?://[^\s/@?#]+(/[^\s@?#]*)?")
_ORGANISATION = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]*")
# With a user and a password, in which signs such as / have to be written as %2F.
_HTTP_PROXY = re.compile(r"https?://([^\s/?#@]+@)?([a-z0-9_.-]+|\[[0-9a-f:.]+\])(:\d{1,5})?/?", re.IGNORECASE)
_SOCKS_PROXY = re.compile(_HTTP_PROXY.pattern.replace("https?", "socks5h?", 1), re.IGNORECASE)
_NETWORK = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
_TOKEN = re.compile(r"[\x21-\x7e]+")
_LEAST_TOKEN = 16
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
# Browsers and proxies send these themselves.
_NOT_FOR_NAMES = ("host", "cookie", "authorization", "user-agent", "referer", "origin", "x-forwarded-for", "accept")
_SSH = re.compile(r"ssh://([a-z_][a-z0-9_.-]*@)?([a-z0-9][a-z0-9_.-]*|\[[0-9a-f:.]+\])(:\d{1,5})?(/[^\s:?#]*)?", re.I)
_LOOPBACK = re.compile(r"\w+://(127\.[\d.]+|localhost|\[::1\])(:\d+)?/?\Z")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network | None
# The engine's own: the whole host, nothing at all, and what every other container shares.
_NO_NETWORKS = ("host", "none", "bridge", "default")


def byte_size(problems: list[str], name: str, text: str, least: int = 1) -> int:
    """ "4G" -> bytes; what is not a size, or is less than `least` bytes, joins the problems."""
    found = re.fullmatch(r"([1-9]\d*)([KMGT]?)", text.upper())
    if not found:
        problems.append(f"{name}: {text!r} is not a size such as 512M or 4G.")
        return 0
    size = int(found[1]) * 1024 ** " KMGT".index(found[2] or " ")
    if size < least:
        problems.append(f"{name}: {text} is too little: it must be at least {least // 1024**2}M.")
    return size


def file_in(folder: str, name: str) -> str:
    """The path of a file of that name, if it holds something: an empty one counts as not set, as everywhere."""
    path = Path(folder, name)
    try:
        return str(path) if folder and path.stat().st_size else ""
    except FileNotFoundError:
        return ""
    except OSError:
        return str(path)  # whoever reads it says what is wrong


def words(problems: list[str], name: str, text: str) -> tuple[str, ...]:
    """A command's words, as a shell would part them."""
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        problems.append(f"{name}: cannot be parted into words: {error}.")
        return ()


def storages(high: Path, medium: Path) -> Iterable[str]:
    """What is removed from or added to one storage must never be the other's."""
    high, medium = high.resolve(), medium.resolve()
    if high.is_relative_to(medium) or medium.is_relative_to(high):
        yield (
            "HIGH_PRIVACY_STORAGE_BASE, MEDIUM_PRIVACY_STORAGE_BASE: each needs a folder of its own, outside the other."
        )


def engine(values: Mapping) -> Iterable[str]:
    """What jobs run in."""
    if not values["ALLOWED_IMAGES"]:
        yield "ALLOWED_IMAGES: name at least one image, or no action can run."
    yield from _engine_address(values)
    if not values["HOST_WORK_DIR"].is_absolute():
        yield f"HOST_WORK_DIR: {values['HOST_WORK_DIR']} must be a full path: WORK_DIR as the engine's host sees it."
    network = values["DATABASE_ACCESS_NETWORK"]
    if network in _NO_NETWORKS or not _NETWORK.fullmatch(network):
        yield (
            f"DATABASE_ACCESS_NETWORK: {network!r} is not a network of its own: make one (docker network create) "
            "that reaches the database and nothing else, and give its name."
        )
    if not all(extension.startswith(".") for extension in values["LEVEL4_FILE_TYPES"]):
        yield "LEVEL4_FILE_TYPES: each must begin with a dot, such as .csv."
    names = values["LEVEL4_IDENTIFIER_COLUMNS"]
    if not names or not all(re.search(r"[^\W_]", name) for name in names):
        yield "LEVEL4_IDENTIFIER_COLUMNS: name at least one column, such as patient_id; without, nothing is looked for."
    yield from _weights(values["JOB_RESOURCE_WEIGHTS_FILE"])


def _engine_address(values: Mapping) -> Iterable[str]:
    """Whoever reaches the engine is root on its machine and reads the files of all jobs."""
    address = values["DOCKER_HOST"]
    if not address.startswith(("unix://", "tcp://", "ssh://", "http://", "https://")):
        yield "DOCKER_HOST: must begin with unix://, tcp://, ssh://, http:// or https://."
    elif address.startswith("ssh://") and not _SSH.fullmatch(address):
        yield (
            "DOCKER_HOST: must look like ssh://user@host, with :port and /path/of/the/engine's.sock behind it if they "
            "are not the usual ones, and without a password (not shown)."
        )
    elif not address.startswith(("unix://", "ssh://")) and "@" in address:
        yield "DOCKER_HOST: takes no user name or password (not shown): use certificates, DOCKER_CERT_PATH."
    elif _is_plain(address) and values["PRODUCTION"] and not values["DOCKER_CERT_PATH"]:
        yield (
            "DOCKER_HOST: over plain TCP anybody on the way reads patients' data, and whoever reaches that port is "
            "root there. Use ssh://, or certificates: DOCKER_CERT_PATH."
        )


def _is_plain(address: str) -> bool:
    return address.startswith(("tcp://", "http://")) and not _LOOPBACK.match(address)


def _weights(path: str) -> Iterable[str]:
    try:
        if path:
            Path(path).read_bytes()
    except OSError as error:
        yield f"JOB_RESOURCE_WEIGHTS_FILE: {path} cannot be read: {error.strerror}."


def git(values: Mapping) -> Iterable[str]:
    """Where code comes from, and who gets the token."""
    yield from _git_hosts(values)
    for name in values["ALLOWED_GITHUB_ORGS"]:
        if name != "*" and not _ORGANISATION.fullmatch(name):
            yield f"ALLOWED_GITHUB_ORGS: {name!r} is no organisation's name, such as opensafely (* allows all)."
    if not values["ALLOWED_GITHUB_ORGS"]:
        yield "ALLOWED_GITHUB_ORGS: name at least one organisation, such as opensafely (* allows all)."
    proxy = values["GIT_PROXY"]
    if proxy and not _HTTP_PROXY.fullmatch(proxy) and not _SOCKS_PROXY.fullmatch(proxy):
        yield "GIT_PROXY: must be the address of a proxy, such as http://proxy.example.org:3128 (not shown)."
    address = values["ACTIONS_ORG_URL"]
    is_folder = address.startswith("/") and values["ALLOW_LOCAL_REPOS"]
    is_plain_http = address.startswith("http://") and not values["GIT_ALLOW_HTTP"]
    # Without a path all of the host's repositories would count as actions, and those may come from nowhere else.
    is_organisation = _ADDRESS.fullmatch(address) and urlsplit(address).path
    if not is_folder and (is_plain_http or not is_organisation):
        yield "ACTIONS_ORG_URL: must be the https:// address of an organisation, without a user name or password."


def _git_hosts(values: Mapping) -> Iterable[str]:
    proxy = values["GITHUB_PROXY_DOMAIN"]
    hosts = [(name, host) for name in ("ALLOWED_GIT_HOSTS", "GIT_TOKEN_HOSTS") for host in values[name]]
    for name, host in [*hosts, *([("GITHUB_PROXY_DOMAIN", proxy)] if proxy else [])]:
        if not _HOST.fullmatch(host):
            yield f"{name}: {_shown(host)} is not a host such as github.com: leave out https:// and what follows."
    if not values["ALLOWED_GIT_HOSTS"]:
        yield "ALLOWED_GIT_HOSTS: name at least one host, such as github.com."


_HARMLESS = re.compile(r"[\w.*-]{1,60}(/[\w.*-]{0,60})*|[0-9a-fA-F:.]+(/\d+)?")


def _shown(text: str) -> str:
    """Whoever pastes an address here may have pasted its password."""
    return repr(text) if _HARMLESS.fullmatch(text) else "what is set (not shown)"


def job_server(values: Mapping) -> Iterable[str]:
    """Whom sync asks, and that nobody else can read along."""
    address, token = values["JOB_SERVER_ENDPOINT"], values["JOB_SERVER_TOKEN"]
    is_elsewhere = not token and "JOB_SERVER_TOKEN" in values["SECRETS_ELSEWHERE"]
    if bool(address) != bool(token) and not is_elsewhere:
        missing = "JOB_SERVER_TOKEN" if address else "JOB_SERVER_ENDPOINT"
        # Without a token the server would answer all the same, with the requests of all backends (contract §1.1).
        yield f"{missing}: JOB_SERVER_ENDPOINT and JOB_SERVER_TOKEN go together: set both, or none."
    if token and not _TOKEN.fullmatch(token):
        yield "JOB_SERVER_TOKEN: holds blanks or other signs that no token has (its value is not shown)."
    if address and not _ADDRESS.fullmatch(address):
        yield "JOB_SERVER_ENDPOINT: must be an https:// address without user name, such as https://jobs.example.org/api/v2/."
    elif address.startswith("http://") and not _is_loopback(address) and values["PRODUCTION"]:
        yield "JOB_SERVER_ENDPOINT: http:// would show the token to everybody on the way; production needs https://."
    yield from _certificates(values["JOB_SERVER_CA_FILE"])
    if values["JOB_SERVER_PROXY"] and not _HTTP_PROXY.fullmatch(values["JOB_SERVER_PROXY"]):
        yield "JOB_SERVER_PROXY: must be the address of a proxy, such as http://proxy.example.org:3128 (not shown)."


def _certificates(path: str) -> Iterable[str]:
    try:
        if path:
            ssl.create_default_context(cafile=path)
    except FileNotFoundError:
        yield f"JOB_SERVER_CA_FILE: there is no file {path}."
    except OSError as error:  # an SSLError is one
        yield f"JOB_SERVER_CA_FILE: {path} holds no certificates that can be read ({error.strerror or error})."


def _is_loopback(address: str) -> bool:
    return urlsplit(address).hostname in ("localhost", "127.0.0.1", "::1")


def rap_api_tokens(problems: list[str], text: str, backend: str) -> dict[str, frozenset[str]]:
    """ "TOKEN" or "tpp,test=TOKEN", several parted by blanks -> token -> the backends that it may speak for."""
    tokens: dict[str, frozenset[str]] = {}
    for entry in text.split():
        # A token may end in "=", so what stands before the first one is names of backends only if it looks so.
        names, token = backend, entry
        if found := re.fullmatch(r"([a-z0-9_-]+(?:,[a-z0-9_-]+)*)=([^=].*)", entry):
            names, token = found.groups()
        if not _TOKEN.fullmatch(token) or len(token) < _LEAST_TOKEN:
            problems.append(
                f"RAP_API_TOKENS: each token needs at least {_LEAST_TOKEN} signs without blanks (no value is shown)."
            )
            continue
        tokens[token] = tokens.get(token, frozenset()) | frozenset(names.split(","))
    return tokens


def networks(problems: list[str], name: str, texts: Iterable[str]) -> tuple[Network, ...]:
    """Addresses and networks as the modules of the web compare them; "unix" means a caller through a Unix socket."""
    found: list[Network] = []
    for text in texts:
        try:
            found.append(None if text == "unix" else ipaddress.ip_network(text, strict=False))
        except ValueError:
            what = f"{name}: {_shown(text)}"
            problems.append(f"{what} is neither an address nor a network such as 10.0.0.0/24, nor unix.")
    return tuple(found)


def single_sign_on(header: str, proxies: Iterable[str]) -> Iterable[str]:
    """Whoever can send the header is whoever they say they are, so it must be known who that is."""
    if bool(header) != bool(proxies):
        missing = "SSO_TRUSTED_PROXIES" if header else "SSO_HEADER"
        yield f"{missing}: SSO_HEADER and SSO_TRUSTED_PROXIES go together: set both, or none."
    if header and (not _HEADER.fullmatch(header) or header.lower() in _NOT_FOR_NAMES):
        yield f"SSO_HEADER: {header!r} is no header that holds a person's name, such as X-Remote-User."
    if any(text.endswith("/0") for text in proxies):
        yield "SSO_TRUSTED_PROXIES: names the whole world, where anybody could be anybody: name the proxy's address."


def production(values: Mapping, missing: Iterable[str]) -> Iterable[str]:
    """What protects patients' data has no default in production; `missing` are variables that are not set."""
    if len(values["SECRET_KEY"]) < 50 or len(set(values["SECRET_KEY"])) < 5:
        yield "SECRET_KEY: production needs a secret of at least 50 random characters (or SECRET_KEY_FILE)."
    if values["DEBUG"]:
        yield "DEBUG: must be off in production; debug pages show settings and data."
    if not values["ALLOWED_HOSTS"]:
        yield "ALLOWED_HOSTS: production needs the host names that the dashboard is served under."
    if values["EXECUTOR"] == "fake":
        yield "EXECUTOR: fake makes outputs of its own instead of running studies; not in production."
    for name in missing:
        yield f"{name}: has no default in production."


def refuse(problems: list[str]) -> NoReturn:
    """One message for all bad variables, then the end: a half-configured runner must not start."""
    lines = "\n".join(f"  - {problem}" for problem in problems)
    print(f"The job runner cannot start: {len(problems)} setting(s) need attention.\n{lines}", file=sys.stderr)
    print("Set them in the environment or in .env; dotenv-sample explains each.", file=sys.stderr)
    raise SystemExit(2)

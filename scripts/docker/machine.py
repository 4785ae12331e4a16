"""What of this machine's configuration a build of the image needs to reach packages: a tar on standard output.

Mirrors and proxies of apt and pip, their passwords, keys of archives, and the certificates that this machine trusts. It
goes to the build as a secret, which no layer holds, and `as_the_machine.sh` unpacks it there. What names a path of this
machine (a local index, constraints) is left out: it would not be there. Standard library only, any Python from 3.9.
"""

import ast
import io
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

# Docker takes no larger secret.
MOST_BYTES = 500 * 1024
HERE = "@HERE@"  # the folder in the build, which as_the_machine.sh puts in
APT = Path("/etc/apt")
# What of pip's settings says where packages come from, and not how this machine likes to work.
OF_PIP = ("index-url", "extra-index-url", "trusted-host", "proxy", "find-links", "timeout", "retries")
OF_APT = re.compile(r'Acquire::(http|https|ftp|socks|Check-\w+|Retries|ForceIPv\d)\b[\w:.-]* "[^"]*";', re.IGNORECASE)
OF_THIS_MACHINE = re.compile(r'Info|Cert|Key|Auto-Detect| "/', re.IGNORECASE)
PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTPS_PROXY", "NO_PROXY", "HTTP_PROXY")
CERTIFICATES = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE")


def said_by(*command: str) -> str:
    """What a program prints; nothing if it is not there."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=60).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def pip_configuration(listed: str) -> str:
    """From the lines of `pip config list`, the later of which win; a variable of the environment wins over files."""
    found = {}
    for line in sorted(listed.splitlines(), key=lambda line: line.startswith(":env:")):
        name, _, text = line.partition("=")
        try:
            value = str(ast.literal_eval(text))
        except (ValueError, SyntaxError):
            continue
        where, _, name = name.rpartition(".")
        words = [word for word in value.split() if not word.startswith(("/", "file:", "~", "."))]
        if where in ("global", "install", ":env:") and name in OF_PIP and words:
            found[name] = "\n    ".join(words)
    return "[global]\n" + "".join(f"{name} = {value}\n" for name, value in found.items())


def apt_configuration(dump: str) -> str:
    lines = (line for line in dump.splitlines() if OF_APT.fullmatch(line))
    # Certificates and keys at paths of this machine: the build has the certificates that follow.
    return "".join(f"{line}\n" for line in lines if not OF_THIS_MACHINE.search(line))


def sources() -> dict[str, str]:
    """Names in the archive -> contents, the keys that they are signed by among them."""
    found = {}
    for path in [APT / "sources.list", *sorted(APT.glob("sources.list.d/*"))]:
        if path.suffix not in (".list", ".sources"):
            continue
        if text := read(path):
            for key in re.findall(r"signed-by\s*[:=]\s*(/[^\s\]]+)", text, re.IGNORECASE):
                found[f"keys/{Path(key).name}"] = key
                text = text.replace(key, f"{HERE}/keys/{Path(key).name}")
            found[str(path.relative_to("/etc"))] = text
    return found


def proxies() -> str:
    return "".join(f"{name}={os.environ[name]}\n" for name in PROXIES if os.environ.get(name))


def certificates() -> Path:
    named = [Path(os.environ[name]) for name in CERTIFICATES if os.environ.get(name)]
    return next((path for path in [*named, Path("/etc/ssl/certs/ca-certificates.crt")] if path.is_file()), Path())


def archive() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=9) as tar:
        for name, content in sources().items():
            if name.startswith("keys/"):
                add_file(tar, name, Path(content))
            else:
                add(tar, name, content.encode())
        for path in [*APT.glob("trusted.gpg.d/*"), *APT.glob("auth.conf.d/*"), APT / "auth.conf"]:
            add_file(tar, str(path.relative_to("/etc")), path)
        add(tar, "apt/apt.conf", apt_configuration(said_by("apt-config", "dump")).encode())
        add(tar, "pip.conf", pip_configuration(said_by(sys.executable, "-m", "pip", "config", "list")).encode())
        add(tar, "proxies", proxies().encode())
        add_file(tar, "os-release", Path("/etc/os-release"))
        add_file(tar, "certificates.pem", certificates())
    return packed.getvalue()


def add_file(tar: tarfile.TarFile, name: str, path: Path) -> None:
    if path.is_file():
        add(tar, name, path.read_bytes())


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    # Always the same bytes from the same machine, so that what was built stays in the builder's memory.
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o644
    tar.addfile(entry, io.BytesIO(content))


if __name__ == "__main__":
    made = archive()
    if len(made) > MOST_BYTES:
        sys.exit(f"it takes {len(made)} bytes, and Docker gives a build no more than {MOST_BYTES}")
    sys.stdout.buffer.write(made)

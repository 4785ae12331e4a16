"""A registry of images of the tests' own, on this machine: the engine pulls from it as from any other.

It serves one layer with one file, and a new image whenever the file's content changes. What a registry must answer is
in the OCI distribution specification.
"""

import gzip
import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.ports import HOST

_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG = "application/vnd.docker.container.image.v1+json"
_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class Registry(ThreadingHTTPServer):
    """`push` makes an image; `spoils` serves other bytes in place of each layer."""

    daemon_threads = True

    def __init__(self):
        super().__init__((HOST, 0), _Answer)
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[tuple[str, str], bytes] = {}
        self.spoils = False

    @property
    def address(self) -> str:
        """For DOCKER_REGISTRY; engines speak plain HTTP with this machine's own registries."""
        return f"{HOST}:{self.server_address[1]}/team"

    def push(self, name: str, tag: str, content: bytes) -> None:
        tar = io.BytesIO()
        with tarfile.open(fileobj=tar, mode="w") as archive:
            info = tarfile.TarInfo("version")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        layer = gzip.compress(tar.getvalue(), mtime=0)
        config = json.dumps(
            {
                "architecture": "amd64",
                "os": "linux",
                "config": {},
                "rootfs": {"type": "layers", "diff_ids": [_digest(tar.getvalue())]},
            }
        ).encode()
        self.blobs |= {_digest(layer): layer, _digest(config): config}
        manifest = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": {"mediaType": _CONFIG, "size": len(config), "digest": _digest(config)},
            "layers": [{"mediaType": _LAYER, "size": len(layer), "digest": _digest(layer)}],
        }
        content = json.dumps(manifest).encode()
        for reference in (tag, _digest(content)):
            self.manifests[f"team/{name}", reference] = content


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def log_message(self, *arguments) -> None:
        pass

    def _answer(self, *, with_body: bool) -> None:
        parts = self.path.removeprefix("/v2/").rstrip("/").split("/")
        if self.path.rstrip("/") == "/v2":
            return self._say(200, b"{}", "application/json", with_body)
        name, kind, reference = "/".join(parts[:-2]), parts[-2], parts[-1]
        if kind == "manifests" and (found := self.server.manifests.get((name, reference))):
            return self._say(200, found, _MANIFEST, with_body)
        if kind == "blobs" and (found := self.server.blobs.get(reference)):
            if self.server.spoils and found.startswith(b"\x1f\x8b"):
                found = bytes(reversed(found))
            return self._say(200, found, "application/octet-stream", with_body)
        error = {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}
        return self._say(404, json.dumps(error).encode(), "application/json", with_body)

    def _say(self, status: int, body: bytes, kind: str, with_body: bool) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Docker-Content-Digest", _digest(body))
        self.end_headers()
        if with_body:
            self.wfile.write(body)


@contextmanager
def registry() -> Iterator[Registry]:
    with Registry() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join(10)

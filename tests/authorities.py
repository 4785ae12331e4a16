"""Certificates for tests of TLS: authorities of our own, made by the openssl command."""

import ssl
import subprocess
from pathlib import Path


class Authority:
    """`file` is what a client is to trust."""

    def __init__(self, folder: Path, name: str = "authority"):
        self._folder, self._name = folder, name
        self.file = folder / f"{name}.pem"
        self._key = folder / f"{name}.key"
        self._openssl(
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc", "-days", "2"),
            *("-keyout", self._key, "-out", self.file, "-subj", f"/CN={name}"),
            *("-addext", "keyUsage=critical,keyCertSign", "-addext", "basicConstraints=critical,CA:TRUE"),
        )

    def server(self, alternative_name: str = "IP:127.0.0.1", days: int = 2) -> ssl.SSLContext:
        """The context of a server with a certificate for that name; negative days: it has expired."""
        certificate, key = self.pair("server", alternative_name, days)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        return context

    def pair(self, whose: str, alternative_name: str = "IP:127.0.0.1", days: int = 2) -> tuple[Path, Path]:
        """Files with a certificate and its key."""
        key, request, certificate = (self._folder / f"{self._name}-{whose}.{end}" for end in ("key", "csr", "pem"))
        extensions = self._folder / "extensions"
        extensions.write_text(f"subjectAltName={alternative_name}\n")
        self._openssl(
            *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc"),
            *("-keyout", key, "-out", request, "-subj", f"/CN={whose}"),
        )
        self._openssl(
            *("x509", "-req", "-in", request, "-CA", self.file, "-CAkey", self._key, "-set_serial", "1"),
            *("-days", days, "-extfile", extensions, "-out", certificate),
        )
        return certificate, key

    def _openssl(self, *arguments) -> None:
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)

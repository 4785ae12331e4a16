"""A certificate that only those trust who are told to: for tests of TLS with a private authority."""

import ssl
import subprocess
from pathlib import Path

CONFIGURATION = """
[req]
distinguished_name = name
x509_extensions = extensions
prompt = no
[name]
CN = fake job-server
[extensions]
subjectAltName = IP:127.0.0.1, DNS:localhost
basicConstraints = critical, CA:TRUE
keyUsage = critical, digitalSignature, keyCertSign
subjectKeyIdentifier = hash
"""


def private_certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """The file that a client has to trust, and what `FakeJobServer(tls=...)` takes; needs `openssl`."""
    configuration, key, certificate = (folder / name for name in ("openssl.cnf", "key.pem", "certificate.pem"))
    configuration.write_text(CONFIGURATION, encoding="utf-8")
    kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    files = ["-config", configuration, "-keyout", key, "-out", certificate]
    subprocess.run(["openssl", "req", *kind, *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return certificate, context

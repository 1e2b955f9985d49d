"""Certificates for a test, made by openssl: an authority, and what it signs."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate with its key, both PEM files."""

    cert: Path
    key: Path


class Authority:
    """A certificate authority of its own; `ca` is its certificate."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self._folder = folder
        self.ca, self._key = folder / f"{name}.pem", folder / f"{name}.key"
        subject = ["-subj", f"/O=Example/CN={name}"]
        _openssl("req", "-x509", *_NEW_KEY, "-keyout", self._key, "-out", self.ca, "-days", "36500", *subject, *_OF_CA)

    def issue(self, name: str, days: int = 36500) -> Pair:
        """Sign a certificate for a DNS name, and for 127.0.0.1; with days < 0 it has expired."""
        made = Pair(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        request, extensions = self._folder / f"{name}.csr", self._folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName=DNS:{name},IP:127.0.0.1\n{_OF_HOLDER}", "ascii")
        _openssl("req", *_NEW_KEY, "-keyout", made.key, "-out", request, "-subj", f"/O=Example/CN={name}")
        signed: list[str | Path] = ["-CA", self.ca, "-CAkey", self._key, "-CAcreateserial", "-extfile", extensions]
        _openssl("x509", "-req", "-in", request, "-out", made.cert, "-days", str(days), *signed)
        return made


# RFC 5280 section 4.2.1: Python 3.13 refuses certificates without them.
_OF_CA = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
_OF_HOLDER = "keyUsage=critical,digitalSignature\nauthorityKeyIdentifier=keyid\nsubjectKeyIdentifier=hash\n"
_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)

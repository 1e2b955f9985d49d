"""Certificates for a test: an authority with what it signs, and one that signs itself. openssl makes each one once."""

from __future__ import annotations

import ssl
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
# RFC 5280 section 4.2.1: Python 3.13 refuses certificates without them.
_OF_CA = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
_OF_HOLDER = "keyUsage=critical,digitalSignature\nauthorityKeyIdentifier=keyid\nsubjectKeyIdentifier=hash\n"


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate with its key, both PEM files."""

    cert: Path
    key: Path

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert, self.key)
        return context


class Authority:
    """A certificate authority; `ca` is its certificate. Two of one name are the same."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self._folder, self._name = folder, name
        self.ca = _written(folder, name, _signs_itself(f"/O=Example/CN={name}", *_OF_CA)).cert

    def issue(self, name: str, days: int = 36500) -> Pair:
        """Sign a certificate for a DNS name, and for 127.0.0.1; with days < 0 it has expired."""
        return _written(self._folder, name, _issued(self._name, name, days))


def self_signed(folder: Path) -> Pair:
    """Return a certificate for 127.0.0.1 that clients trust as it is."""
    return _written(folder, "own", _signs_itself("/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"))


@dataclass(frozen=True, slots=True)
class _Texts:
    cert: bytes
    key: bytes


def _written(folder: Path, name: str, texts: _Texts) -> Pair:
    made = Pair(folder / f"{name}.pem", folder / f"{name}.key")
    made.cert.write_bytes(texts.cert)
    made.key.write_bytes(texts.key)
    return made


def _read(made: Pair) -> _Texts:
    return _Texts(made.cert.read_bytes(), made.key.read_bytes())


@cache
def _signs_itself(subject: str, *more: str) -> _Texts:
    with tempfile.TemporaryDirectory() as place:
        made = Pair(Path(place, "cert"), Path(place, "key"))
        files = ("-keyout", made.key, "-out", made.cert)
        _openssl("req", "-x509", *_NEW_KEY, *files, "-days", "36500", "-subj", subject, *more)
        return _read(made)


@cache
def _issued(authority: str, name: str, days: int) -> _Texts:
    with tempfile.TemporaryDirectory() as place:
        by = _written(Path(place), "by", _signs_itself(f"/O=Example/CN={authority}", *_OF_CA))
        made = Pair(Path(place, "cert"), Path(place, "key"))
        request, extensions = Path(place, "csr"), Path(place, "ext")
        extensions.write_text(f"subjectAltName=DNS:{name},IP:127.0.0.1\n{_OF_HOLDER}", "ascii")
        _openssl("req", *_NEW_KEY, "-keyout", made.key, "-out", request, "-subj", f"/O=Example/CN={name}")
        signed: list[str | Path] = ["-CA", by.cert, "-CAkey", by.key, "-CAcreateserial", "-extfile", extensions]
        _openssl("x509", "-req", "-in", request, "-out", made.cert, "-days", str(days), *signed)
        return _read(made)


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)

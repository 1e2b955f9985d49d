"""TLS for what listens (RFC 5425): our certificate, whose clients are let in, and what a refusal means for people."""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final


class TlsError(ValueError):
    """The files cannot serve; the message names the file and the fix."""


@dataclass(frozen=True, slots=True)
class Tls:
    """What a TLS listener shows, and whom it lets in: anyone, or holders of a certificate by `client_ca_file`."""

    cert_file: Path
    key_file: Path
    client_ca_file: Path | None = None
    client_names: Sequence[str] = ()  # of those, only certificates with such a name; `*.example.org` is a pattern

    def stamp(self) -> tuple[int, ...]:
        """Return what changes when a file is renewed; zeros stand for what is not there."""
        return tuple(_changed(path) for path in (self.cert_file, self.key_file, self.client_ca_file) if path)


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def context(tls: Tls) -> ssl.SSLContext:
    """Return what wraps accepted sockets. Raises TlsError."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    for path in (tls.cert_file, tls.key_file, tls.client_ca_file):
        if path is not None:
            _readable(path)
    try:
        made.load_cert_chain(tls.cert_file, tls.key_file, password=lambda: b"")
    except (ssl.SSLError, ValueError) as error:
        raise TlsError(f"{tls.cert_file}, {tls.key_file}: {_pair_fault(error)}") from error
    if tls.client_ca_file is not None:
        made.verify_mode = ssl.CERT_REQUIRED
        try:
            made.load_verify_locations(tls.client_ca_file)
        except ssl.SSLError as error:
            raise TlsError(f"{tls.client_ca_file}: no certificates in PEM form are in it") from error
    return made


def _readable(path: Path) -> None:
    try:
        path.read_bytes()
    except OSError as error:
        raise TlsError(f"{path}: {error.strerror}; Tocsin's user must be able to read it") from error


def _pair_fault(error: Exception) -> str:
    reason = getattr(error, "reason", None) or str(error)
    if reason == "KEY_VALUES_MISMATCH":
        return "the key is not that of the certificate"
    return f"no certificate and unencrypted key in PEM form ({reason})"


Certificate = Mapping[str, object]  # as SSLSocket.getpeercert gives it


def names(certificate: Certificate) -> list[str]:
    """Return what a certificate calls its holder: the subjectAltName's DNS names, else the common name (RFC 5425
    section 5.2)."""
    alternative = certificate.get("subjectAltName")
    found = [str(value) for kind, value in alternative if kind == "DNS"] if isinstance(alternative, tuple) else []
    return found or [value for name, value in _subject(certificate) if name == "commonName"]


def subject(certificate: Certificate) -> str:
    """Return the subject as ECS has it in tls.client.subject: `CN=db-7, O=Example`."""
    return ", ".join(f"{_SHORT.get(name, name)}={value}" for name, value in reversed(_subject(certificate)))


def allowed(certificate: Certificate, patterns: Sequence[str]) -> bool:
    """Say whether one of the holder's names is among the patterns; no patterns let in all."""
    held = [name.lower() for name in names(certificate)]
    return not patterns or any(_is(name, pattern.lower()) for name in held for pattern in patterns)


def _is(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) and name.count(".") == pattern.count(".")


def _subject(certificate: Certificate) -> list[tuple[str, str]]:
    parts = certificate.get("subject")
    return [(str(name), str(value)) for part in parts for name, value in part] if isinstance(parts, tuple) else []


_SHORT: Final = {
    "commonName": "CN", "organizationName": "O", "organizationalUnitName": "OU", "countryName": "C",
    "stateOrProvinceName": "ST", "localityName": "L", "domainComponent": "DC",
}  # fmt: skip


def refusal(error: OSError) -> str:
    """Return why a handshake failed, and at which end to mend it."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _UNVERIFIED.get(error.verify_code, f"its certificate is refused: {error.verify_message}")
    reason = str(getattr(error, "reason", None) or error)
    return next((why for word, why in _REASONS.items() if word in reason), f"no TLS with it: {reason}")


_NO_ISSUER: Final = "client_ca_file does not hold the CA that signed its certificate"
_UNVERIFIED: Final = {  # X509_V_ERR_*
    2: _NO_ISSUER, 18: _NO_ISSUER, 19: _NO_ISSUER, 20: _NO_ISSUER, 21: _NO_ISSUER,
    9: "its certificate is not valid yet: is a clock wrong, here or there?",
    10: "its certificate has expired: renew it there",
}  # fmt: skip
_REASONS: Final = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "it shows no certificate: give it one by the CA in client_ca_file",
    "ALERT_UNKNOWN_CA": "it does not know the CA of our certificate: install that CA there",
    "ALERT_CERTIFICATE_EXPIRED": "it says that our certificate has expired: renew cert_file",
    "ALERT_BAD_CERTIFICATE": "it refuses our certificate: is its name the one that it connects to?",
    "ALERT_CERTIFICATE_UNKNOWN": "it refuses our certificate: is its name the one that it connects to?",
    "HTTP_REQUEST": "it does not speak TLS: point it at a tcp:// listener, or turn its TLS on",
    "WRONG_VERSION_NUMBER": "it does not speak TLS: point it at a tcp:// listener, or turn its TLS on",
    "UNSUPPORTED_PROTOCOL": "it speaks no TLS 1.2 or newer",
    "NO_SHARED_CIPHER": "it has no cipher in common with this host",
}

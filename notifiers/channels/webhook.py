"""Webhook: Alertmanager's payload, version 4 (https://prometheus.io/docs/alerting/latest/configuration/#webhook_config).

Whatever reads Alertmanager's webhooks reads these: PagerDuty, Opsgenie, ntfy and the like. A request is signed as
`Tocsin-Signature: t=<seconds>,v1=<hex>`, the HMAC-SHA256 of `<seconds>.<body>` with the shared secret; whoever
receives it refuses what is older than five minutes.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

from notifiers.channels import Receipt, Rejected, Unavailable
from notifiers.message import Message, Told

_NEVER: Final = "0001-01-01T00:00:00Z"  # Go's zero time: what fires has no end
_LATER: Final = frozenset({408, 425, 429})  # of 4xx, those that may pass
_SAID: Final = 200  # characters of an answer that are shown


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to post to. The URL and both secrets stay out of messages and logs."""

    url: str = field(repr=False)
    secret: bytes | None = field(default=None, repr=False)
    authorization: str | None = field(default=None, repr=False)
    ca_file: str | None = None  # None: the system's
    timeout: float = 10.0


class Webhook:
    """A Channel that posts to one URL, over one connection for each message; a redirect is not followed."""

    kind = "webhook"

    def __init__(self, endpoint: Endpoint, receiver: str, external_url: str = "") -> None:
        self._endpoint = endpoint
        self._receiver = receiver
        self._external_url = external_url

    def send(self, message: Message, previous: Receipt | None) -> Receipt:
        body = json.dumps(payload(message, self._receiver, self._external_url)).encode()
        connection = self._connect()
        try:
            response = self._post(connection, body, message.time)
            status, said, headers = response
        finally:
            connection.close()
        if not 200 <= status < 300:
            raise _fault(status, said, headers, message.time)
        return previous or Receipt(message.incident)

    def _connect(self) -> http.client.HTTPConnection:
        """Return an open connection: nothing has been handed over yet, so no failure here is uncertain."""
        parts = urlsplit(self._endpoint.url)
        host, timeout = parts.hostname or "", self._endpoint.timeout
        try:
            if parts.scheme == "https":
                context = ssl.create_default_context(cafile=self._endpoint.ca_file)
                made: http.client.HTTPConnection = http.client.HTTPSConnection(
                    host, parts.port, timeout=timeout, context=context
                )
            else:
                made = http.client.HTTPConnection(host, parts.port, timeout=timeout)
            made.connect()
        except (ssl.SSLCertVerificationError, FileNotFoundError) as error:
            raise Rejected(f"webhook: {type(error).__name__}: {error}") from error
        except (OSError, ValueError) as error:
            raise Unavailable(f"webhook: {type(error).__name__}: {error}") from error
        return made

    def _post(
        self, connection: http.client.HTTPConnection, body: bytes, now: datetime
    ) -> tuple[int, str, Mapping[str, str]]:
        parts = urlsplit(self._endpoint.url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            connection.request("POST", target, body, self._headers(body, now))
            response = connection.getresponse()
            said = response.read(4096).decode("utf-8", "replace")
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(f"webhook: {type(error).__name__}", uncertain=True) from error
        headers = {name.lower(): value for name, value in response.getheaders()}
        return response.status, " ".join(said.split())[:_SAID], headers

    def _headers(self, body: bytes, now: datetime) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "User-Agent": "Tocsin"}
        if self._endpoint.authorization:
            headers["Authorization"] = self._endpoint.authorization
        if self._endpoint.secret:
            headers["Tocsin-Signature"] = signature(self._endpoint.secret, body, now)
        return headers


def signature(secret: bytes, body: bytes, now: datetime) -> str:
    """Return the value of the header Tocsin-Signature."""
    seconds = str(int(now.timestamp()))
    mac = hmac.new(secret, seconds.encode() + b"." + body, hashlib.sha256).hexdigest()
    return f"t={seconds},v1={mac}"


def payload(message: Message, receiver: str, external_url: str = "") -> dict[str, object]:
    """Return Alertmanager's webhook message, version 4. `groupKey` is the incident's, from its page to its end."""
    firing = any(one.ends is None for one in message.alerts) or not message.alerts
    return {
        "version": "4",
        "groupKey": f'{{}}:{{incident="{message.incident}"}}',
        "truncatedAlerts": message.left_out,
        "status": "firing" if firing else "resolved",
        "receiver": receiver,
        "groupLabels": {"incident": message.incident},
        "commonLabels": _common([one.labels for one in message.alerts]),
        "commonAnnotations": {
            **_common([one.annotations for one in message.alerts]),
            "summary": message.subject,
            **({"change": message.change} if message.change else {}),
        },
        "externalURL": external_url,
        "alerts": [_alert(one) for one in message.alerts],
    }


def _alert(one: Told) -> dict[str, object]:
    return {
        "status": "firing" if one.ends is None else "resolved",
        "labels": dict(one.labels),
        "annotations": dict(one.annotations),
        "startsAt": _rfc3339(one.starts),
        "endsAt": _rfc3339(one.ends) if one.ends else _NEVER,
        "generatorURL": "",
        "fingerprint": fingerprint(one.labels),
    }


def fingerprint(labels: Mapping[str, str]) -> str:
    """Return 16 hex digits that are equal for equal labels, as an alert's fingerprint is."""
    material = "\0".join(f"{name}\1{value}" for name, value in sorted(labels.items()))
    return hashlib.blake2b(material.encode("utf-8", "backslashreplace"), digest_size=8).hexdigest()


def _common(some: Sequence[Mapping[str, str]]) -> dict[str, str]:
    first, *others = some or ({},)
    return {name: value for name, value in first.items() if all(one.get(name) == value for one in others)}


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _fault(status: int, said: str, headers: Mapping[str, str], now: datetime) -> Unavailable | Rejected:
    told = f"webhook: HTTP {status} {said}".rstrip()
    if status >= 500 or status in _LATER:
        # 503 and those of 4xx say that it was not taken; behind the others it may have been.
        return Unavailable(told, after=_wait(headers.get("retry-after"), now), uncertain=status not in {*_LATER, 503})
    if 300 <= status < 400:
        return Rejected(f"webhook: HTTP {status}: it has moved; name its new place in `url`")
    return Rejected(told)


def _wait(header: str | None, now: datetime) -> float | None:
    """Return the seconds that Retry-After asks for: a number or a date (RFC 9110, 10.2.3)."""
    if header is None:
        return None
    if header.isascii() and header.isdigit():
        return float(header)
    try:
        until = parsedate_to_datetime(header)
        return max((until - now).total_seconds(), 0.0)
    except (TypeError, ValueError):  # TypeError: a date without a zone
        return None

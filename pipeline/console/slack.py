"""Slack's buttons: requests to the interactivity URL (https://docs.slack.dev/authentication/verifying-requests-from-slack).

The signature is over the raw body and the time that Slack states; what is older than five minutes is refused, and so
is what was seen before.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import parse_qs, urlsplit

import msgspec

from pipeline.console import Reply, Request

WINDOW: Final = timedelta(minutes=5)
_HOSTS: Final = frozenset({"hooks.slack.com", "hooks.slack-gov.com"})


class NotSlack(ValueError):
    """The request is not one that Slack made just now; the message says why."""


class _User(msgspec.Struct):
    id: str


class _Action(msgspec.Struct):
    action_id: str
    value: str = ""


class _Payload(msgspec.Struct):
    type: str
    user: _User
    actions: list[_Action] = []
    response_url: str = ""


@dataclass(frozen=True, slots=True)
class Press:
    """A button was pressed: by whom, which one, on what, and where to answer."""

    user: str
    action: str
    incident: str
    answer_to: str
    signature: str  # unlike any other request's


class Door:
    """Lets in what Slack signed, once."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._seen: dict[str, datetime] = {}

    def press(self, request: Request, now: datetime) -> Press:
        """Return the button that was pressed. Raises NotSlack."""
        signature = self._checked(request, now)
        try:
            (text,) = parse_qs(request.body.decode("utf-8"), strict_parsing=True)["payload"]
            payload = msgspec.json.decode(text.encode(), type=_Payload)
        except (KeyError, ValueError, msgspec.MsgspecError) as error:
            raise NotSlack("no payload that is known") from error
        if payload.type != "block_actions" or not payload.actions:
            raise NotSlack(f"a payload of type {payload.type[:50]!r}, not block_actions")
        first = payload.actions[0]
        return Press(payload.user.id, first.action_id, first.value, payload.response_url, signature)

    def _checked(self, request: Request, now: datetime) -> str:
        stated, given = (request.headers.get(f"x-slack-{name}", "") for name in ("request-timestamp", "signature"))
        if not (stated.isascii() and stated.isdigit() and len(stated) < 15):
            raise NotSlack("no time is stated")
        if abs(now.timestamp() - int(stated)) > WINDOW.total_seconds():
            raise NotSlack("signed more than five minutes ago")
        if not hmac.compare_digest(given.encode(), signature(self._secret, stated, request.body).encode()):
            raise NotSlack("the signature is not Slack's")
        self._seen = {one: seen for one, seen in self._seen.items() if now - seen <= 2 * WINDOW}
        if given in self._seen:
            raise NotSlack("seen before")
        self._seen[given] = now
        return given


def signature(secret: bytes, stated: str, body: bytes) -> str:
    """Return what the header X-Slack-Signature must hold."""
    return "v0=" + hmac.new(secret, b"v0:" + stated.encode() + b":" + body, hashlib.sha256).hexdigest()


def is_slack(url: str) -> bool:
    """Say whether this is an address of Slack's: nothing is posted elsewhere, whoever signed it."""
    parts = urlsplit(url)
    return parts.scheme == "https" and parts.hostname in _HOSTS


def ephemeral(url: str, lines: str, fallback: str) -> Reply:
    """Return an answer that only who pressed sees, in plain text."""
    block = {"type": "section", "text": {"type": "plain_text", "text": lines[:2900] or " ", "emoji": False}}
    said = {"response_type": "ephemeral", "replace_original": False, "text": fallback, "blocks": [block]}
    return Reply(url, msgspec.json.encode(said))

"""Links in e-mails: each bound to one incident, one address and one action, and only for a while. Pure.

A link opens a page; only that page's button acts, by POST, with the same token. Mail scanners follow links, and
press no buttons. There is no cookie, so nobody's browser can be made to act in their name: the token is the proof.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from notifiers.blocks import BUTTONS
from notifiers.message import Message
from pipeline.signing import derived

OFFERED: Final = ("ack", "resolve", "silence")
_PURPOSE: Final = "tocsin mail link"
_LONGEST: Final = 2000  # characters of a token


class BadLink(ValueError):
    """The link is no good; the message, for people, says why."""


@dataclass(frozen=True, slots=True)
class Link:
    """What a token says: this person may do this to that, until then."""

    incident: str
    address: str
    action: str
    expires: datetime


def token(link: Link, key: bytes) -> str:
    """Return the link's token, fit for a URL."""
    said = [link.incident, link.address, link.action, int(link.expires.timestamp())]
    body = msgspec.json.encode(said)
    return f"{_text(body)}.{_text(_mac(body, key))}"


def read(text: str, key: bytes, now: datetime) -> Link:
    """Return what the token says. Raises BadLink for one that is altered or over."""
    body, dot, mac = text[:_LONGEST].partition(".")
    try:
        said, given = _bytes(body), _bytes(mac)
        if not dot or not hmac.compare_digest(given, _mac(said, key)):
            raise BadLink("This link is not one of Tocsin's, or was cut short on its way.")
        incident, address, action, expires = msgspec.json.decode(said, type=tuple[str, str, str, int])
    except (binascii.Error, ValueError, msgspec.MsgspecError) as error:
        if isinstance(error, BadLink):
            raise
        raise BadLink("This link is not one of Tocsin's, or was cut short on its way.") from error
    link = Link(incident, address, action, datetime.fromtimestamp(expires, UTC))
    if link.expires <= now:
        raise BadLink("This link is over. Use the one in a later message, or `tocsin incidents`.")
    return link


def links(
    key: bytes, url: str, ttl: timedelta, known: Callable[[str], bool]
) -> Callable[[Message, str], Sequence[tuple[str, str]]]:
    """Return what names and links a message gets for an address; `known` says whose addresses are somebody's."""

    def of(message: Message, address: str) -> Sequence[tuple[str, str]]:
        if not known(address):
            return ()
        offered = [action for action in OFFERED if action in message.actions]
        made = {one: Link(message.incident, address, one, message.time + ttl) for one in offered}
        return [(BUTTONS[one], f"{url.rstrip('/')}/act?t={token(link, key)}") for one, link in made.items()]

    return of


def _mac(body: bytes, key: bytes) -> bytes:
    return hmac.digest(derived(key, _PURPOSE), body, "sha256")


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)

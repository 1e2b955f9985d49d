"""Signing: who may merely write to the stream can command nothing. Command line, console and notifier share a key.

A command is obeyed if its HMAC-SHA256 is right, if it was signed within WINDOW of the stream's own append time, and
if no earlier record carries its nonce: a copy of an old record fails one or the other.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime, timedelta
from typing import Final

import msgspec

from pipeline.records import Command
from rules.event import rfc3339

WINDOW: Final = timedelta(minutes=5)


class Forged(ValueError):
    """The command was not made by a holder of the key, or is a copy; the message says which."""


def signed(command: Command, key: bytes) -> Command:
    """Return the command with its MAC. It must carry a nonce of its own."""
    if not command.nonce or not key:
        raise ValueError("a command is signed with a key and a nonce")
    return command.model_copy(update={"mac": _mac(command, key)})


def derived(key: bytes, purpose: str) -> bytes:
    """Return a key for another purpose: what is signed for the one says nothing for the other."""
    return hmac.digest(key, purpose.encode(), "sha256")


class Guard:
    """Knows the key, and the nonces of the commands that were signed lately. Feed it the topic in order."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._nonces: dict[str, datetime] = {}

    def check(self, command: Command, appended: datetime) -> None:
        """Return if the command may be obeyed, once. Raises Forged."""
        if not self._key:
            raise Forged("no key is configured: nothing can be signed")
        if not command.mac:
            raise Forged("not signed")
        if not hmac.compare_digest(command.mac.encode(), _mac(command, self._key).encode()):
            raise Forged("signed with another key, or altered")
        if abs(appended - command.time) > WINDOW:
            raise Forged(f"signed {rfc3339(command.time)} and appended {rfc3339(appended)}: a copy")
        if command.nonce in self._nonces:
            raise Forged("its nonce was used before: a copy")
        self._remember(command.nonce, appended)

    def _remember(self, nonce: str, appended: datetime) -> None:
        """A nonce is of use for two windows at most: before and after the signed time."""
        old = [name for name, seen in self._nonces.items() if appended - seen > 2 * WINDOW]
        for name in old:
            del self._nonces[name]
        self._nonces[nonce] = appended


def _mac(command: Command, key: bytes) -> str:
    material = msgspec.json.encode(command.model_dump(mode="json", exclude={"mac"}), order="sorted")
    return hmac.new(key, b"tocsin command\n" + material, hashlib.sha256).hexdigest()

"""The key that commands are signed with: made once in the state folder, or given to every part of a fleet as a file."""

from __future__ import annotations

import os
import pwd
import secrets
from collections.abc import Sequence
from pathlib import Path

from pipeline import state
from pipeline.settings import Config, Person

_LEAST = 16  # bytes: shorter is no key


class NotAllowed(Exception):
    """Whoever calls may not command; the message says who may."""


def commands_key(config: Config) -> bytes:
    """Return the key. Raises StateError if it cannot be read, made, or is open to others."""
    given = config.commands.key_file
    path = given.expanduser() if given else state.folder(config) / "commands.key"
    try:
        if given is None:
            _make(path)
        if path.stat().st_mode & 0o077:
            raise state.StateError(f"{path}: others may read this key: chmod 600 {path}")
        key = path.read_bytes().strip()
    except OSError as error:
        raise state.StateError(f"{path}: {error.strerror}: commands cannot be signed without this key") from error
    if len(key) < _LEAST:
        raise state.StateError(f"{path}: a key is {_LEAST} bytes long at least: openssl rand -hex 32 > {path}")
    return key


def _make(path: Path) -> None:
    """Write a key that is there whole or not at all: whoever comes second takes the first one's."""
    if path.exists():
        return
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, secrets.token_hex(32).encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    try:
        os.link(fresh, path)
    except FileExistsError:
        pass
    finally:
        fresh.unlink()


def caller(config: Config) -> tuple[str, str]:
    """Return who calls and how that is proved: by the operating system. Raises NotAllowed, StateError.

    Whoever owns the state folder (and root) may command; others need an account that `people` lists.
    """
    uid = os.getuid()
    try:
        account = pwd.getpwuid(uid).pw_name
    except KeyError:
        account = f"uid {uid}"
    proof = f"os-user uid={uid}"
    person = by_account(config.people, account)
    if person is not None:
        return person, f"{proof} {account}"
    owner = state.folder(config).stat().st_uid
    if uid not in (0, owner):
        raise NotAllowed(
            f"{account} is not known: `people` in the config lists no such account, and the state folder is not theirs"
        )
    return account, proof


def by_account(people: Sequence[Person], account: str) -> str | None:
    return next((one.name for one in people if account in one.accounts), None)


def by_slack(people: Sequence[Person], user: str) -> str | None:
    return next((one.name for one in people if one.slack == user), None)


def by_email(people: Sequence[Person], address: str) -> str | None:
    return next((one.name for one in people if one.email and one.email.casefold() == address.casefold()), None)

"""The state folder: who this host is, and a lock for each role, so that none runs twice over the same files."""

from __future__ import annotations

import fcntl
import os
import secrets
import socket
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from collectors.assemble import Host
from pipeline.settings import Config


class StateError(Exception):
    """The state folder cannot be used; the message says why and what to do."""


class _Identity(msgspec.Struct):
    id: str
    key: str  # hex: what event ids are keyed with


def folder(config: Config) -> Path:
    """Return the state folder, made if need be, for its owner only. Raises StateError."""
    path = config.state.expanduser()
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StateError(f"state folder {path}: {error.strerror}; name another under `state:`") from error
    return path


def host(config: Config) -> Host:
    """Return who collects here. `host.id: auto` is made once and kept, as the key is, in `host.json`."""
    path = folder(config) / "host.json"
    try:
        if not path.exists():
            made = msgspec.json.encode(_Identity(str(uuid.uuid4()), secrets.token_hex(32)))
            write_whole(path, made, first=True)
        identity = msgspec.json.decode(path.read_bytes(), type=_Identity)
    except (OSError, msgspec.MsgspecError) as error:
        raise StateError(
            f"{path}: {error}; it holds this host's identity: restore it, or remove it to begin anew"
        ) from error
    own = identity.id if config.host.id == "auto" else config.host.id
    return Host(own, config.host.name or socket.gethostname(), bytes.fromhex(identity.key))


def adopt(config: Config, id_: str) -> None:
    """Be the host of this id from now on; what keys its event ids stays. Raises StateError."""
    key = host(config).key.hex()
    write_whole(folder(config) / "host.json", msgspec.json.encode(_Identity(id_, key)))


@contextmanager
def role_lock(config: Config, role: str) -> Iterator[None]:
    """Hold the role's lock while it runs. Raises StateError if another process holds it."""
    path = folder(config) / f"{role}.lock"
    try:
        opened = path.open("a+")
    except OSError as error:
        raise StateError(f"state folder {path.parent}: {error.strerror}; name another under `state:`") from error
    with opened as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            raise StateError(
                f"the role {role} already runs here (process {file.read().strip() or 'unknown'}); stop it, "
                "or name another folder under `state:`"
            ) from error
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def role_runs(config: Config, role: str) -> bool:
    """Say whether a process holds the role's lock over this state."""
    path = folder(config) / f"{role}.lock"
    try:
        with path.open("r") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def write_whole(path: Path, data: bytes, *, first: bool = False) -> None:
    """Write a file that is there whole or not at all, whatever happens; with `first`, only if none is there yet."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    fresh = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if first:
            with suppress(FileExistsError):  # another process was first
                os.link(fresh, path)
        else:
            fresh.rename(path)
    finally:
        fresh.unlink(missing_ok=True)
    parent = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(parent)
    finally:
        os.close(parent)

"""The host's side of enrolment: the keys of its roles, whose first ones the centre keeps."""

from __future__ import annotations

import logging
import os
import secrets
from datetime import datetime
from functools import partial
from hashlib import blake2b
from pathlib import Path

from collectors.assemble import Host
from collectors.chain import Key
from pipeline import state
from pipeline.chaining import KeyFault, KeyFile, Sealing
from pipeline.enrolled import COLLECT, Enrolment, write
from pipeline.settings import Config
from rules.event import rfc3339

_log = logging.getLogger(__name__)


def open_sealing(config: Config, role: str, now: datetime) -> Sealing:
    """Return what seals a role's records here. A role without a key gets one: a damaged or lost key stops nobody.

    The centre enrols itself; a collector of a fleet must be enrolled there (`tocsin enrol`). Raises StateError.
    """
    host, keys = state.host(config), key_file(config, role)
    try:
        known = keys.read() is not None
    except KeyFault as fault:
        aside = keys.path.with_suffix(".damaged")
        _log.warning("%s; set aside as %s", fault, aside.name, extra={"role": role})
        keys.path.replace(aside)
        known = False
    if not known:
        _enrol_here(config, host, role, now)
    publish = partial(_publish, config.chain.anchor_file) if config.chain.anchor_file else None
    return Sealing(host, role, keys, home(config), publish)


def escrow(config: Config) -> Path:
    """Return the folder in which the centre keeps the first keys."""
    return config.chain.enrolled or state.folder(config) / "enrolled"


def key_file(config: Config, role: str) -> KeyFile:
    """Return the file of a role's key, in a folder that is there. Raises StateError."""
    folder = state.folder(config) / "keys"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise state.StateError(f"{folder}: {error.strerror}; give Tocsin's user the right to write there") from error
    return KeyFile(folder / f"{role}.key")


def home(config: Config) -> str:
    """Return what tells this machine and this state folder from a copy of them.

    The machine's id (machine-id(5)) differs between installations, the folder's inode between copies of a folder;
    device numbers are left out, since they change from start to start.
    """
    try:
        machine = Path("/etc/machine-id").read_bytes()
    except OSError:
        machine = b""
    node = state.folder(config).stat().st_ino
    return blake2b(b"%b:%d" % (machine.strip(), node), digest_size=8).hexdigest()


def _publish(path: Path, anchor: bytes) -> None:
    """Append an anchor to the file elsewhere. That it cannot be written now is told, and stops nothing."""
    try:
        with path.open("ab") as file:
            file.write(anchor + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        _log.warning("chain.anchor_file %s: %s; the next anchor tries again", path, error.strerror)


def _enrol_here(config: Config, host: Host, role: str, now: datetime) -> None:
    key = Key(0, secrets.token_bytes(32))
    if role == COLLECT and config.stream.kind != "sqlite":
        _log.warning(
            "this host is not enrolled: its records are sealed, but nobody can check them; see `tocsin enrol --help`",
            extra={"role": role},
        )
    else:
        enrolment = Enrolment(host.id, host.name, key.secret.hex(), rfc3339(now))
        write(escrow(config), enrolment, role)
    key_file(config, role).write(key, 0, sync=True)

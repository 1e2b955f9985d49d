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
from pipeline.chaining import KeyFault, KeyFile, Sealing, root_of
from pipeline.enrolled import COLLECT, Enrolled, Enrolment, write
from pipeline.settings import Config
from rules.event import rfc3339

_log = logging.getLogger(__name__)


def open_sealing(config: Config, role: str, now: datetime) -> Sealing:
    """Return what seals a role's records here. A role without a key gets one: a damaged or lost key stops nobody.

    The centre enrols itself, whatever was lost or changed; a collector of a fleet must be enrolled there (`tocsin
    enrol`). Raises StateError.
    """
    host, keys = state.host(config), key_file(config, role)
    try:
        known = keys.read() is not None
    except KeyFault as fault:
        aside = keys.path.with_suffix(".damaged")
        _log.warning("%s; set aside as %s", fault, aside.name, extra={"role": role})
        keys.path.replace(aside)
        known = False
    own = role != COLLECT or config.stream.kind == "sqlite"  # nobody else enrols it
    if not known or (own and not _is_enrolled(config, host, role, keys)):
        _begin(config, host, role, keys, now if own else None)
    anchors = config.chain.anchor_file
    publish = partial(_publish, anchors.expanduser()) if anchors else None
    return Sealing(host, role, keys, home(config), publish)


def escrow(config: Config) -> Path:
    """Return the folder in which the centre keeps the first keys."""
    return config.chain.enrolled.expanduser() if config.chain.enrolled else state.folder(config) / "enrolled"


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


def _is_enrolled(config: Config, host: Host, role: str, keys: KeyFile) -> bool:
    """Whether the centre has the first key of this very key; one that was revoked is somebody's decision."""
    found = Enrolled.of(escrow(config)).get(host.id, role)
    return found is not None and (root_of(found.secret) == keys.root or found.revoked is not None)


def _begin(config: Config, host: Host, role: str, keys: KeyFile, enrolled: datetime | None) -> None:
    """Make the role's first key; with the moment `enrolled`, the centre keeps it."""
    key = Key(0, secrets.token_bytes(32))
    if enrolled is not None:
        write(escrow(config), Enrolment(host.id, host.name, key.secret.hex(), rfc3339(enrolled)), role)
    else:
        _log.warning(
            "this host is not enrolled: its records are sealed, but nobody can check them; see `tocsin enrol --help`",
            extra={"role": role},
        )
    keys.write(key, 0, sync=True)

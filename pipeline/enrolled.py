"""The escrow: the first key of each enrolled writer, kept at the centre, by which seals are checked.

One file for each writer: `<host.id>.json` for the host's collector, `<host.id>@<role>.json` for another role on it.
Whoever can read the folder can forge what those hosts say; it belongs to the centre's own user alone.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import msgspec

from pipeline.state import StateError, write_whole
from rules.event import instant

COLLECT: Final = "collect"
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,127}")  # what may stand in a file's name
_KEY: Final = re.compile(r"[0-9a-f]{64}")


class EnrolmentFault(StateError):
    """An enrolment cannot be read or written; the message names the file and what to do."""


class Earlier(msgspec.Struct, frozen=True):
    """A first key that was replaced: what it sealed can still be verified."""

    key: str
    enrolled: str
    until: str  # RFC 3339: when the next one took its place


class Enrolment(msgspec.Struct, frozen=True):
    """Who was enrolled, with the first key (hex) of what they write."""

    id: str
    name: str
    key: str
    enrolled: str
    revoked: str | None = None
    earlier: tuple[Earlier, ...] = ()

    @property
    def secret(self) -> bytes:
        return bytes.fromhex(self.key)


class Enrolled:
    """The folder of enrolments. What was read is used again until `refresh`; then a file that changed is read anew."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[tuple[str, str], tuple[tuple[int, int, int], Enrolment]] = {}
        self._fresh: dict[tuple[str, str], Enrolment | None] = {}

    @classmethod
    def of(cls, folder: Path) -> Enrolled:
        """Return the enrolments below a folder, which need not exist yet."""
        return cls(folder)

    def refresh(self) -> None:
        """Look at each file again before it is used next; done once a round, it costs one stat for each host."""
        self._fresh.clear()

    def get(self, host_id: str, role: str = COLLECT) -> Enrolment | None:
        """Return who is enrolled under this name, None if nobody is. Raises EnrolmentFault for a damaged file."""
        place = (host_id, role)
        if place not in self._fresh:
            self._fresh[place] = self._looked_up(place)
        return self._fresh[place]

    def all(self) -> list[Enrolment]:
        """Return every collector that is enrolled, by id. Raises EnrolmentFault."""
        return [found for name in self.ids() if (found := self.get(name)) is not None]

    def ids(self) -> list[str]:
        """Return the host.id of every collector that has an enrolment, be it damaged."""
        return sorted(path.stem for path in self._folder.glob("*.json") if "@" not in path.stem)

    def _looked_up(self, place: tuple[str, str]) -> Enrolment | None:
        path = _path(self._folder, *place)
        if path is None:
            return None
        try:
            seen = path.stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise EnrolmentFault(f"{path}: {error.strerror}; give Tocsin's user the right to read it") from error
        sign = (seen.st_mtime_ns, seen.st_ino, seen.st_size)
        known = self._known.get(place)
        if known is None or known[0] != sign:
            known = self._known[place] = (sign, _read(path, place[0]))
        return known[1]


def write(folder: Path, enrolment: Enrolment, role: str = COLLECT) -> None:
    """Keep an enrolment, whole or not at all. A key that it replaces is kept under `earlier`. Raises EnrolmentFault."""
    path = _path(folder, enrolment.id, role)
    if path is None:
        raise EnrolmentFault(f"{enrolment.id!r} cannot be enrolled: letters, digits and _ . : - only, 128 at most")
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        before = _read(path, enrolment.id) if path.exists() else None
        write_whole(path, msgspec.json.encode(_succeeding(before, enrolment)))
    except OSError as error:
        raise EnrolmentFault(f"{path}: {error.strerror}; give Tocsin's user the right to write it") from error


def _succeeding(before: Enrolment | None, enrolment: Enrolment) -> Enrolment:
    if before is None or before.key == enrolment.key:
        return enrolment
    replaced = Earlier(before.key, before.enrolled, enrolment.enrolled)
    return msgspec.structs.replace(enrolment, earlier=(*before.earlier, replaced))


def _path(folder: Path, host_id: str, role: str) -> Path | None:
    """Return the file of a writer, None for a name that no enrolment can have: names come from strangers."""
    if not _NAME.fullmatch(host_id) or not _NAME.fullmatch(role):
        return None
    return folder / (f"{host_id}.json" if role == COLLECT else f"{host_id}@{role}.json")


def _read(path: Path, host_id: str) -> Enrolment:
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Enrolment)
        _checked(found, host_id)
    except OSError as error:
        raise EnrolmentFault(f"{path}: {error.strerror}; give Tocsin's user the right to read it") from error
    except (msgspec.MsgspecError, ValueError) as error:
        raise EnrolmentFault(
            f"{path}: {error}; restore the file from a backup, or enrol the host again (`tocsin enrol --help`)"
        ) from error
    return found


def _checked(found: Enrolment, host_id: str) -> None:
    """Raises ValueError for what is no enrolment of this host."""
    if found.id != host_id:
        raise ValueError(f"the enrolment is of {found.id!r}")
    for key in (found.key, *(one.key for one in found.earlier)):
        if not _KEY.fullmatch(key):
            raise ValueError("a key is not 64 hex digits")
    for moment in (found.enrolled, found.revoked, *(t for one in found.earlier for t in (one.enrolled, one.until))):
        if moment is not None:
            instant(moment)

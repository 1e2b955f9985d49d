"""inotify(7): which names in which folders changed. Only a hint of where to look first; nothing depends on it."""

from __future__ import annotations

import ctypes
import os
import struct
from typing import Final

_MODIFY, _ATTRIB, _FROM, _TO, _CREATE, _DELETE, _OVERFLOW = 0x2, 0x4, 0x40, 0x80, 0x100, 0x200, 0x4000
_MASK: Final = _MODIFY | _ATTRIB | _FROM | _TO | _CREATE | _DELETE
_EVENT: Final = struct.Struct("iIII")
_ROOM: Final = 256 * 1024


class Inotify:
    """Watches folders. Raises OSError where the kernel has none, or none left (fs.inotify.max_user_instances)."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._file = self._checked(self._libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK))
        self._folders: dict[int, str] = {}

    def watch(self, folder: str) -> None:
        """Watch a folder; once more changes nothing. Raises OSError (fs.inotify.max_user_watches, no such folder)."""
        number = self._checked(self._libc.inotify_add_watch(self._file, os.fsencode(folder), _MASK))
        self._folders[number] = folder

    def changed(self) -> set[tuple[str, str]] | None:
        """Return (folder, name) of what changed since; None: so much that the kernel kept no account."""
        found: set[tuple[str, str]] = set()
        lost = False
        while data := self._read():
            at = 0
            while at < len(data):
                number, mask, _, size = _EVENT.unpack_from(data, at)
                name = data[at + _EVENT.size : at + _EVENT.size + size].rstrip(b"\0")
                at += _EVENT.size + size
                lost |= bool(mask & _OVERFLOW)
                if number in self._folders:
                    found.add((self._folders[number], os.fsdecode(name)))
        return None if lost else found

    def close(self) -> None:
        os.close(self._file)

    def _read(self) -> bytes:
        try:
            return os.read(self._file, _ROOM)
        except BlockingIOError:
            return b""

    def _checked(self, result: int) -> int:
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return result

"""What an error of the disk means, and what to do about it, in words. Pure."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

_FULL = "the disk is full: free some of it; nothing is taken until then, and nothing is lost that can wait"
_READ_ONLY = "the file system is read-only: mount it for writing, or name another folder under `state:`"
_RIGHT = "no right to read or write there: give the folder and all in it to the user that runs Tocsin (chown -R)"
_DISK = "the disk fails (I/O error): look into the kernel's log, and move the state folder to a sound disk"
_BUSY = "another process holds it for too long: see who has it open (fuser)"
_BY_ERRNO = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EROFS: _READ_ONLY,
    errno.EACCES: _RIGHT,
    errno.EPERM: _RIGHT,
    errno.EIO: _DISK,
}
_BY_CODE = {
    "FULL": _FULL,
    "READONLY": "it cannot be written: give it to the user that runs Tocsin (chown -R), or mount it for writing",
    "PERM": _RIGHT,
    "AUTH": _RIGHT,
    "CANTOPEN": "it cannot be opened: give the folder and all in it to the user that runs Tocsin (chown -R)",
    "IOERR": _DISK,
    "BUSY": _BUSY,
    "LOCKED": _BUSY,
}


def advice(place: Path, error: Exception) -> str:
    """Return where, what and how to mend it, on one line."""
    if isinstance(error, OSError):
        said = _BY_ERRNO.get(error.errno or 0, "")
        return f"{error.filename or place}: {said or error.strerror or error}"
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorname", "").removeprefix("SQLITE_")
        said = next((text for start, text in _BY_CODE.items() if code.startswith(start)), "")
        return f"{place}: {said} ({error})" if said else f"{place}: {error}"
    return f"{error}: damaged again and again: look at the disk's health, or move the folder away to begin anew"

"""Which journal entries a tailed log file carries too, so that nothing is told twice and nothing is left out.

That rsyslog writes auth.log is not certain: a host may have lost it and kept the file. So an entry counts as carried
only if the file has been written since the entry; one that is not carried after a while is read from the journal.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

_WAIT: Final = timedelta(seconds=5)  # for rsyslog to write what the journal has already
_SLACK: Final = timedelta(milliseconds=100)  # a file's time is that of the kernel's last tick
# What the distributions' rsyslog puts there: auth and authpriv (RFC 5424 section 6.2.1); Red Hat's only the latter.
FILES: Final = {"auth.log": frozenset({"4", "10"}), "secure": frozenset({"10"})}


class Carrier:
    """One tailed file name with the syslog facilities that it carries, judged by when it was last written."""

    def __init__(self, facilities: Collection[str], paths: Sequence[str]) -> None:
        self.facilities = facilities
        self._paths = paths
        self._dead: tuple[datetime | None] | None = None  # when it was last written as it failed to carry an entry

    def carries(self, time: datetime, waited: timedelta) -> bool | None:
        """Say whether the file carries an entry of that time, read `waited` ago; None: it may yet."""
        written = self._written()
        if written is not None and written >= time - _SLACK:
            return True
        if written is not None and waited < _WAIT and self._dead != (written,):
            return None
        self._dead = (written,)
        return False

    def _written(self) -> datetime | None:
        """Return when a file that we may read was last written, None if there is none."""
        times = [Path(path).stat().st_mtime for path in self._paths if os.access(path, os.R_OK)]
        return datetime.fromtimestamp(max(times), UTC) if times else None


def carriers(paths: Sequence[str]) -> list[Carrier]:
    """Return what the tailed paths carry, as far as their names tell."""
    found = {name: [path for path in paths if Path(path).name == name] for name in FILES}
    return [Carrier(FILES[name], named) for name, named in found.items() if named]

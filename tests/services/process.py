"""What every real server of the tests needs: a free port, a process of its own, and waiting until it answers."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


class CannotServe(Exception):
    """This machine cannot have the server; the message says what is missing and what brings it."""


_PORTS = (10_000 + (os.getpid() * 100 + n) % 22_000 for n in range(22_000))  # another place for each process


def free_port() -> int:
    """Return a loopback port that nothing listens on, each once; outside the range that outgoing connections take."""
    for port in _PORTS:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise CannotServe("no port is free between 10000 and 32000 on 127.0.0.1")


def listens(port: int) -> bool:
    """Return whether something accepts connections on the loopback port."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


class Process:
    """A server process in a group of its own, its output in a file, ended by its own id."""

    def __init__(
        self, arguments: Sequence[str], log: Path, *, env: Mapping[str, str] | None = None, user: str | None = None
    ) -> None:
        self.log = log
        with log.open("ab") as output:
            self._child = subprocess.Popen(
                list(arguments),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=log.parent,
                env={**os.environ, **(env or {})},
                start_new_session=True,
                user=user,
                group=_group_of(user),
                extra_groups=None if user is None else [],
            )

    @property
    def pid(self) -> int:
        return self._child.pid

    def wait_until(self, answers: Callable[[], bool], what: str, limit: float = 120.0) -> None:
        """Return as soon as it answers. Raises RuntimeError with the end of its log if it ends or is too slow."""
        deadline = time.monotonic() + limit
        while not answers():
            if self._child.poll() is not None:
                raise RuntimeError(f"{what} ended with status {self._child.returncode}:\n{self.tail()}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"{what} did not answer within {limit:g} s:\n{self.tail()}")
            time.sleep(0.05)

    def tail(self, size: int = 4000) -> str:
        return self.log.read_bytes()[-size:].decode("utf-8", "replace")

    def kill(self) -> None:
        """End it as a crash would: at once, with all its children."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait()

    def stop(self, limit: float = 20.0) -> None:
        """Ask it to end, wait for it and its children, and make them end if they do not."""
        self._child.terminate()
        deadline = time.monotonic() + limit
        while self._alive() and time.monotonic() < deadline:
            time.sleep(0.02)
        self.kill()

    def _alive(self) -> bool:
        """Whether any process of its group is left: a launcher may end before the server that it started."""
        self._child.poll()
        try:
            os.killpg(self._child.pid, 0)
        except ProcessLookupError:
            return False
        return True


def _group_of(user: str | None) -> str | None:
    return None if user is None else grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_name


def unprivileged(*names: str) -> str | None:
    """Return the user that a server which refuses root runs as: None (ourselves) unless we are root."""
    if os.geteuid() != 0:
        return None
    for name in (*names, "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise CannotServe(f"no unprivileged user among {', '.join((*names, 'nobody'))} to run the server as")


def give(folder: Path, user: str | None) -> None:
    """Make the user (if any) the owner of everything in the folder."""
    if user is None:
        return
    for path in (folder, *folder.rglob("*")):
        shutil.chown(path, user)


def run(arguments: Sequence[str], *, env: Mapping[str, str] | None = None, user: str | None = None) -> str:
    """Run a helper program to its end and return its output. Raises RuntimeError with its output if it fails."""
    done = subprocess.run(
        list(arguments),
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        user=user,
        group=_group_of(user),
        extra_groups=None if user is None else [],
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(arguments)}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout

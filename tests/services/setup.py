"""Bring what the real servers need: `python -m tests.services.setup`, called by `make test` before pytest.

What cannot be had is named with what brings it, and costs only the tests that need it: they skip and say why
(under CI=true they fail).
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.services import cache, elasticsearch, kafka
from tests.services.process import CannotServe, run

# What shows that a package is there -> the package. A path may hold a `*`.
PACKAGES = {
    "/usr/lib/postgresql/*/bin/postgres": "postgresql-15",
    "/usr/lib/postgresql/*/lib/pgaudit.so": "postgresql-15-pgaudit",
    "/usr/lib/mysql/plugin/server_audit.so": "mariadb-server",
    "/usr/sbin/sshd": "openssh-server",
    "/usr/bin/ssh": "openssh-client",
    "/usr/sbin/rsyslogd": "rsyslog",
    "/usr/lib/*/rsyslog/lmnsd_gtls.so": "rsyslog-gnutls",
    "/usr/bin/openssl": "openssl",
    "/usr/bin/sudo": "sudo",
    "/usr/bin/strace": "strace",
    "/usr/sbin/logrotate": "logrotate",
    "/usr/lib/systemd/systemd-journal-remote": "systemd-journal-remote",
}
_POLICY = Path("/usr/sbin/policy-rc.d")


def main() -> int:
    """Fetch everything; always 0, since a missing part is told by the tests that need it."""
    parts: tuple[tuple[str, Callable[[], object]], ...] = (
        (
            "system packages (PostgreSQL with pgaudit, MariaDB, sshd, rsyslog, logrotate, journal-remote, strace)",
            packages,
        ),
        ("Kafka", lambda: (cache.java_home(17), kafka.libraries())),
        ("Elasticsearch", lambda: (cache.java_home(21), elasticsearch.distribution())),
    )
    for name, bring in parts:
        print(f"tests: {name} ... ", end="", flush=True)
        try:
            bring()
        except CannotServe as fault:
            print(f"missing: {fault}", flush=True)
        else:
            print("ready", flush=True)
    return 0


def missing() -> list[str]:
    """Return the packages that are not there."""
    return [package for path, package in PACKAGES.items() if not any(Path("/").glob(path.lstrip("/")))]


def packages() -> None:
    """Install what is missing. Raises CannotServe with the apt line where that is not ours to do."""
    wanted = missing()
    if not wanted:
        return
    line = f"apt-get install {' '.join(wanted)}"
    if os.geteuid() != 0:
        raise CannotServe(f"{line} (as root)")
    if shutil.which("apt-get") is None:
        raise CannotServe(f"no apt-get here; install what Debian calls {' '.join(wanted)}")
    env = {"DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *wanted]
    try:
        with _no_service_starts():
            _update_if_needed(env)
            run(install, env=env)
    except RuntimeError as fault:
        raise CannotServe(f"{line} failed: {str(fault)[-600:]}") from fault


def _update_if_needed(env: dict[str, str]) -> None:
    if not any(Path("/var/lib/apt/lists").glob("*_Packages*")):
        run(["apt-get", "update", "--quiet"], env=env)


@contextmanager
def _no_service_starts() -> Iterator[None]:
    """A package's scripts ask this file whether they may start its service: the tests start their own."""
    if _POLICY.exists():
        yield
        return
    _POLICY.write_text("#!/bin/sh\nexit 101\n", "ascii")
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())

"""A real MariaDB with server_audit on a loopback port: acme_staging and acme_production, and all of its logs."""

from __future__ import annotations

import secrets
import subprocess
from pathlib import Path

from tests.services.process import CannotServe, Process, free_port, give, run, unprivileged

DATABASES = ("acme_staging", "acme_production")
_SETTINGS = """
[mariadbd]
datadir = {folder}/data
socket = {folder}/socket
pid-file = {folder}/pid
port = {port}
bind-address = 127.0.0.1
skip-name-resolve
default-time-zone = +00:00
innodb_buffer_pool_size = 16M
innodb_log_file_size = 8M
log-error = {folder}/error.log
log_warnings = 2
general_log = 1
general_log_file = {folder}/general.log
slow_query_log = 1
slow_query_log_file = {folder}/slow.log
long_query_time = 0.2
plugin-load-add = server_audit
server_audit_logging = ON
server_audit_file_path = {folder}/audit.log
server_audit_events = CONNECT,QUERY,TABLE
"""
_ROLES = """
CREATE USER dba@'127.0.0.1' IDENTIFIED BY '{dba}';
GRANT ALL ON *.* TO dba@'127.0.0.1' WITH GRANT OPTION;
CREATE USER developer@'127.0.0.1' IDENTIFIED BY '{developer}';
"""
_DATABASE = """
CREATE DATABASE {0};
CREATE TABLE {0}.customer (id integer PRIMARY KEY, name text NOT NULL);
INSERT INTO {0}.customer VALUES (1, 'ada'), (2, 'bob');
GRANT ALL ON {0}.* TO developer@'127.0.0.1';
"""


class Mariadb:
    """A running server. `audit`, `error`, `general` and `slow` are its logs; `passwords` those of dba and developer."""

    def __init__(self, folder: Path) -> None:
        _can_serve()
        self._folder, self.port = folder, free_port()
        self._user = unprivileged("mysql")
        self.audit, self.error, self.general, self.slow = (
            folder / f"{name}.log" for name in ("audit", "error", "general", "slow")
        )
        self.passwords = {name: secrets.token_hex(8) for name in ("dba", "developer")}
        folder.chmod(0o755)
        (folder / "my.cnf").write_text(_SETTINGS.format(folder=folder, port=self.port), "ascii")
        made = ["--no-defaults", f"--datadir={folder}/data", "--auth-root-authentication-method=normal"]
        run(["mariadb-install-db", *made, "--skip-test-db", "--skip-name-resolve", *self._as_user()])
        give(folder, self._user)
        self.start()
        self._local(_ROLES.format(**self.passwords) + "".join(_DATABASE.format(name) for name in DATABASES))

    def start(self) -> None:
        """Start the server on its data and return once it answers."""
        command = ["/usr/sbin/mariadbd", f"--defaults-file={self._folder}/my.cnf", *self._as_user()]
        self.process = Process(command, self._folder / "server.out")
        self.process.wait_until(self._answers, "MariaDB")

    def stop(self) -> None:
        self.process.stop()

    def execute(
        self, user: str, database: str, statement: str, password: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run statements by the command-line client over TCP; its status is 1 where the server says no."""
        return self._client(user, [database, "-e", statement], password)

    def dump(self, user: str, database: str) -> str:
        """Return the database as mariadb-dump writes it."""
        return run(["mariadb-dump", *self._tcp(user, None), database])

    def _client(self, user: str, arguments: list[str], password: str | None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["mariadb", *self._tcp(user, password), "--comments", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def _tcp(self, user: str, password: str | None) -> list[str]:
        known = self.passwords.get(user, "") if password is None else password
        return ["--no-defaults", "-h", "127.0.0.1", "-P", str(self.port), "-u", user, f"-p{known}"]

    def _local(self, statements: str) -> None:
        run(["mariadb", "--no-defaults", "-S", f"{self._folder}/socket", "-u", "root", "-e", statements])

    def _answers(self) -> bool:
        try:
            self._local("SELECT 1")
        except RuntimeError:
            return False
        return True

    def _as_user(self) -> list[str]:
        return [f"--user={self._user}"] if self._user else []


def _can_serve() -> None:
    for path in ("/usr/sbin/mariadbd", "/usr/bin/mariadb-install-db", "/usr/lib/mysql/plugin/server_audit.so"):
        if not Path(path).exists():
            raise CannotServe(f"needs {path}: apt-get install mariadb-server")

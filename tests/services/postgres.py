"""A real PostgreSQL with pgaudit on a loopback port: acme_staging and acme_production, logged as text and as JSON."""

from __future__ import annotations

import secrets
import time
from pathlib import Path

import psycopg

from tests.services.process import CannotServe, Process, free_port, give, run, unprivileged

DATABASES = ("acme_staging", "acme_production")
_STARTS = 100  # a tenth of a second apart
LOG_LINE_PREFIX = "%m [%p] %q%u@%d/%a %h "
_SETTINGS = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = '{folder}'
fsync = off
shared_preload_libraries = 'pgaudit'
pgaudit.log = 'write, ddl, role, read'
pgaudit.log_catalog = off
logging_collector = on
log_destination = 'stderr,jsonlog'
log_directory = '{logs}'
log_filename = 'postgresql.log'
log_file_mode = 0644
log_rotation_age = 0
log_rotation_size = 0
log_truncate_on_rotation = off
log_line_prefix = '{prefix}'
log_timezone = 'UTC'
timezone = 'UTC'
log_connections = on
log_disconnections = on
log_min_messages = warning
log_error_verbosity = default
lc_messages = 'C'
"""
# Every role has its password, and no other way in.
_ACCESS = "host all all 127.0.0.1/32 scram-sha-256\nlocal all all trust\n"
_ROLES = """
CREATE ROLE dba LOGIN SUPERUSER PASSWORD '{dba}';
CREATE ROLE developer LOGIN PASSWORD '{developer}';
ALTER ROLE postgres PASSWORD '{postgres}';
"""
_TABLE = """
CREATE TABLE customer (id integer PRIMARY KEY, name text NOT NULL);
INSERT INTO customer SELECT n, 'customer ' || n FROM generate_series(1, 10) AS n;
ALTER TABLE customer OWNER TO developer;
GRANT ALL ON SCHEMA public TO developer;
"""


class Postgres:
    """A running server. `log` is its text log (prefix LOG_LINE_PREFIX), `json_log` the same as JSON.

    `passwords` holds those of postgres, dba and developer; each database has a table customer owned by developer.
    """

    log_line_prefix = LOG_LINE_PREFIX

    def __init__(self, folder: Path) -> None:
        self._programs = _programs()
        self._user = unprivileged("postgres")
        self._data, logs = folder / "data", folder / "logs"
        self.port = free_port()
        self.log, self.json_log = logs / "postgresql.log", logs / "postgresql.json"
        self.passwords = {name: secrets.token_hex(8) for name in ("postgres", "dba", "developer")}
        folder.chmod(0o755)
        logs.mkdir()
        give(folder, self._user)
        initdb = [str(self._programs / "initdb"), "-D", str(self._data), "-U", "postgres", "-A", "trust"]
        run([*initdb, "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"], user=self._user)
        settings = _SETTINGS.format(port=self.port, folder=folder, logs=logs, prefix=LOG_LINE_PREFIX)
        (self._data / "postgresql.auto.conf").write_text(settings, "utf-8")
        (self._data / "pg_hba.conf").write_text(_ACCESS, "utf-8")
        self._folder = folder
        self.start()
        self._fill()

    def start(self) -> None:
        """Start the server on its data and return once it answers.

        A backend outlives a server that was killed for a moment, and holds its memory until it notices.
        """
        command = [str(self._programs / "postgres"), "-D", str(self._data)]
        ready = [str(self._programs / "pg_isready"), "-q", "-h", str(self._folder), "-p", str(self.port)]
        for left in reversed(range(_STARTS)):
            self.process = Process(command, self._folder / "server.log", user=self._user)
            try:
                self.process.wait_until(lambda: _succeeds(ready), "PostgreSQL")
                return
            except RuntimeError as fault:
                if not left or "pre-existing shared memory block" not in str(fault):
                    raise
                time.sleep(0.1)

    def stop(self) -> None:
        self.process.stop()

    def connect(
        self, user: str, database: str, *, password: str | None = None
    ) -> psycopg.Connection[tuple[object, ...]]:
        """Return a connection that commits each statement. Raises psycopg.OperationalError, as for a wrong password."""
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user=user,
            dbname=database,
            password=self.passwords[user] if password is None else password,
            autocommit=True,
            application_name="psql",
        )

    def execute(self, user: str, database: str, statement: str) -> None:
        """Run one statement over a connection of its own."""
        with self.connect(user, database) as connection:
            connection.execute(statement.encode())

    def dump(self, user: str, database: str, archive: Path) -> Path:
        """Write the database into an archive by pg_dump, which names itself so to the server."""
        self._tool("pg_dump", user, database, "-Fc", "-t", "customer", "-f", str(archive))
        return archive

    def restore(self, user: str, database: str, archive: Path) -> None:
        """Restore the archive over the database by pg_restore: what is there is dropped first."""
        self._tool("pg_restore", user, database, "--clean", "--if-exists", "--no-owner", "--no-acl", str(archive))

    def _tool(self, name: str, user: str, database: str, *arguments: str) -> None:
        server = ["-h", "127.0.0.1", "-p", str(self.port), "-U", user, "-d", database]
        run([str(self._programs / name), *server, *arguments], env={"PGPASSWORD": self.passwords[user]})

    def _fill(self) -> None:
        with self._local("postgres") as connection:
            for statement in _ROLES.format(**self.passwords).strip().split("\n"):
                connection.execute(statement.encode())
            for database in DATABASES:
                connection.execute(f"CREATE DATABASE {database}".encode())
        for database in DATABASES:
            with self._local(database) as connection:
                connection.execute(b"CREATE EXTENSION pgaudit")
                connection.execute(_TABLE.encode())

    def _local(self, database: str) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(
            host=str(self._folder), port=self.port, user="postgres", dbname=database, autocommit=True
        )


def _succeeds(command: list[str]) -> bool:
    try:
        run(command)
    except RuntimeError:
        return False
    return True


def _programs() -> Path:
    """Return the newest PostgreSQL's programs that come with pgaudit."""
    for programs in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (programs / "postgres").exists() and (programs.parent / "lib" / "pgaudit.so").exists():
            return programs
    raise CannotServe("needs PostgreSQL with pgaudit: apt-get install postgresql-15 postgresql-15-pgaudit")

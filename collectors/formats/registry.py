"""The formats by name. Each is imported when it is first asked for, so that a collector holds only its own."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import Final

from collectors.formats import Format

_MODULES: Final = {
    "auto": "auto",
    "syslog": "syslog",
    "auditd": "auditd",
    "sshd": "sshd_bare",
    "postgresql": "postgresql",
    "postgresql-json": "postgresql_json",
    "postgresql-csv": "postgresql_csv",
    "pgaudit": "pgaudit",
    "mariadb-audit": "mariadb_audit",
    "mysql-error": "mysql_error",
    "mysql-general": "mysql_general",
    "mysql-slow": "mysql_slow",
    "mysql-audit-json": "mysql_audit_json",
    "mysql-audit-xml": "mysql_audit_xml",
    "mssql-errorlog": "mssql_errorlog",
    "mssql-audit": "mssql_audit",
    "mongodb": "mongodb",
    "mongodb-text": "mongodb_text",
    "mongodb-audit": "mongodb_audit",
    "windows-event": "windows",
    "journald": "journald",
    "cri": "cri",
    "docker": "docker",
    "json": "json_line",
}


def decode(raw: bytes) -> str:
    """Return the text of a record: UTF-8, other bytes as `\\xNN`. The same bytes always give the same text."""
    return raw.decode("utf-8", "backslashreplace")


class _Formats(Mapping[str, Format]):
    """A mapping whose values are imported on demand."""

    def __getitem__(self, name: str) -> Format:
        module = importlib.import_module(f"collectors.formats.{_MODULES[name]}")
        found: Format = module.FORMAT
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(_MODULES)

    def __len__(self) -> int:
        return len(_MODULES)


FORMATS: Final[Mapping[str, Format]] = _Formats()

"""What `sources` may hold: a model a kind, its options documented on themselves."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from pipeline.values import Duration, Model, Priority, Size, duration

_FORMAT = "a name that `tocsin parse --help` lists"
_ZONE = "of times that state none: IANA name, +00:00, or the host's own"
Redaction = Annotated[
    Literal["none", "passwords", "literals"],
    Field(
        description="of what databases log: `passwords` masks those that a statement sets; `literals` leaves no data, "
        "in the raw text neither"
    ),
]


class FileSettings(Model):
    kind: Literal["file"]
    paths: list[str] = Field(min_length=1, description="files or globs")
    format: str = Field("auto", description="a name that `tocsin parse --help` lists")
    timezone: str = Field("local", description="of times that state none: IANA name, +00:00, or the host's own")
    prefix: str | None = Field(None, description="PostgreSQL's log_line_prefix; guessed if absent")
    redact: Redaction = "passwords"
    priority: Priority = None


class JournaldSettings(Model):
    kind: Literal["journald"]
    facilities: Literal["all", "untailed"] = Field(
        "untailed", description="`untailed`: only what no tailed file carries"
    )
    redact: Redaction = "passwords"
    priority: Priority = None


class HostMetricsSettings(Model):
    kind: Literal["host_metrics"]
    every: Duration = timedelta(seconds=10)
    mounts: list[str] | None = Field(None, description="only these mount points; all real file systems if absent")
    priority: Priority = None


class SyslogSettings(Model):
    kind: Literal["syslog"]
    listen: str = Field(description="udp://0.0.0.0:514, tcp://[::]:514 or tls://0.0.0.0:6514")
    format: str = Field("syslog", description=_FORMAT)
    timezone: str = Field("local", description=_ZONE)
    cert_file: Path | None = Field(None, description="tls: the listener's certificate with its chain, PEM")
    key_file: Path | None = Field(None, description="tls: its key, PEM, unencrypted")
    client_ca_file: Path | None = Field(
        None, description="tls: only senders with a certificate by these CAs are let in; absent: anyone"
    )
    client_names: list[str] = Field(
        default_factory=list, description="of those, only these names (subjectAltName, else CN): `*.example.org`"
    )
    connections: int = Field(512, ge=1, le=65536, description="open at once; above it the most silent one goes")
    longest: Size = Field(2**16, ge=480, le=2**24, description="bytes of a TCP message; a longer one comes in pieces")
    redact: Redaction = "passwords"
    priority: Priority = None


class StdinSettings(Model):
    kind: Literal["stdin"]
    format: str = Field("auto", description=_FORMAT)
    timezone: str = Field("local", description=_ZONE)
    prefix: str | None = Field(None, description="PostgreSQL's log_line_prefix; guessed if absent")
    redact: Redaction = "passwords"
    priority: Priority = None


class CommandSettings(Model):
    kind: Literal["command"]
    name: str = Field(min_length=1, description="of the source; another name begins anew")
    run: list[str] = Field(min_length=1, description="a program and its arguments; no shell reads them")
    every: Duration = timedelta(minutes=5)
    timeout: Duration = Field(timedelta(minutes=1), description="after it the command is ended, with its children")
    format: str = Field("auto", description=_FORMAT)
    timezone: str = Field("local", description=_ZONE)
    env: dict[str, str] = Field(default_factory=dict, description="beside PATH, LANG and HOME, which are Tocsin's own")
    redact: Redaction = "passwords"
    priority: Priority = None


def _columns(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _overlap(value: object) -> object:
    return duration(value)


class TableSettings(Model):
    kind: Literal["table"]
    name: str = Field(min_length=1, description="of the source; another name begins anew")
    driver: str = Field("postgresql", description="`postgresql`, or a DB-API module: pyodbc, pymysql, sqlite3")
    connect: str | dict[str, str | int | bool] = Field(
        description="what the driver's connect() takes: a connection string, or its arguments by name"
    )
    password_file: Path | None = Field(None, description="given to connect() as `password`")
    query: str = Field(min_length=1, description="a SELECT of all rows; the position is added to it")
    position: Annotated[list[str], BeforeValidator(_columns)] = Field(
        min_length=1, description="columns that only grow, never NULL, together unique; indexed"
    )
    overlap: Annotated[timedelta | int | None, BeforeValidator(_overlap)] = Field(
        None, description="how far below the position to look again for rows committed late: 30s, or 1000 of a number"
    )
    every: Duration = timedelta(seconds=10)
    timeout: Duration = Field(timedelta(seconds=30), description="of one query, where the driver knows one")
    format: str = Field("json", description=f"of `text`; without it the row is one JSON object. {_FORMAT}")
    text: str | None = Field(None, description="the column that holds the record; absent: the whole row")
    fields: dict[str, str] = Field(
        default_factory=dict, description="ECS field: column, of a row read as JSON; `@timestamp` is the event's time"
    )
    timezone: str = Field("UTC", description=_ZONE)
    redact: Redaction = "passwords"
    priority: Priority = None


SourceSettings = Annotated[
    FileSettings
    | JournaldSettings
    | HostMetricsSettings
    | SyslogSettings
    | StdinSettings
    | CommandSettings
    | TableSettings,
    Field(discriminator="kind"),
]

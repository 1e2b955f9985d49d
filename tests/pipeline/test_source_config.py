"""The config's further sources: what is wrong with them, told by line; what they become; can they be reached."""

from __future__ import annotations

import re
import socket
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from collectors.formats import Context
from pipeline.cli import cli
from pipeline.config import ConfigError, parse
from pipeline.feeds import Feed
from pipeline.sourcing import open_feeds
from tests.standins.certificates import Authority

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
TABLE = "kind: table, name: a, connect: x.db, position: id"


def faults(source: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(f"sources:\n  - {{{source}}}\n", "tocsin.yml", {})
    return str(caught.value)


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("kind: syslog, listen: 0.0.0.0", "tocsin.yml:2: sources[0].listen: '0.0.0.0' is no address to listen on"),
        ("kind: syslog, listen: 'tls://h'", "sources[0]: is required: tls:// shows senders a certificate"),
        ("kind: syslog, listen: 'udp://h', cert_file: x", "sources[0].cert_file: only tls:// has certificates"),
        ("kind: syslog, listen: 'tls://h', cert_file: x, key_file: x, client_names: [a]", "needs client_ca_file"),
        ("kind: syslog, listen: 'udp://h', format: sysloog", "no format 'sysloog'"),
        ("kind: syslog, listen: 'udp://h', timezone: Mars", "sources[0].timezone"),
        ("kind: syslog, listen: 'udp://h', connections: 0", "sources[0].connections"),
        ("kind: stdin, format: x", "no format 'x'"),
        ("kind: stdin}\n  - {kind: stdin", "tocsin.yml:3: sources[1]: a second source stdin"),
        ("kind: command, name: a, run: uptime", "sources[0].run"),
        ("kind: command, name: a, run: []", "sources[0].run"),
        ("kind: command, name: a, run: [x], every: 0s", "sources[0].every: expected at least 1s"),
        ("kind: command, name: a, run: [x], timeout: 0s", "sources[0].timeout: expected more than nothing"),
        (f"{TABLE}", "sources[0].query: is required"),
        (f"{TABLE}, query: 'SELECT 1; DROP TABLE x'", "sources[0].query: expected one SELECT without `;`"),
        ("kind: table, name: a, connect: x, position: 'a b', query: q", "'a b' is no plain column name"),
        ("kind: table, name: a, connect: x, position: [], query: q", "sources[0].position"),
        (f"{TABLE}, query: q, text: t, fields: {{user.name: who}}", "with `text` the format finds the fields"),
        (f"{TABLE}, query: q, overlap: soon", "'soon' is no duration"),
        (f"{TABLE}, query: q, overlap: -1", "sources[0].overlap: expected a number of 0 or more"),
    ],
)
def test_a_fault_is_named_with_its_place_and_what_to_write(source: str, fault: str) -> None:
    assert fault in faults(source)


def feed(source: str) -> Feed:
    (found,) = open_feeds(parse(f"sources:\n  - {{{source}}}\n", "tocsin.yml", {}))
    return found


def test_a_devices_message_is_understood_as_in_a_file_and_a_leading_blank_joins_it_to_nothing() -> None:
    found = feed("kind: syslog, listen: 'udp://127.0.0.1', timezone: Europe/Berlin")
    assert found.format is not None
    assert found.format.continues is None
    time, fields = found.format.parse("<34>Oct 11 22:14:15 fw-1 su: x", Context(NOON, found.zone))
    assert (time, fields["host.hostname"]) == (datetime(2026, 10, 11, 20, 14, 15, tzinfo=UTC), "fw-1")
    assert (found.source.name, found.priority) == ("syslog:udp://127.0.0.1:514", "first")


def test_a_tables_columns_become_the_fields_that_the_config_says() -> None:
    names = "'@timestamp': at, user.name: who, db.query.text: statement, message: statement"
    found = feed(f"{TABLE}, query: q, fields: {{{names}}}")
    assert found.format is not None
    row = '{"id":1,"at":"2026-11-22T11:00:00Z","who":"mallory","statement":"DROP TABLE x","extra":null}'
    time, fields = found.format.parse(row, Context(NOON))
    assert time == datetime(2026, 11, 22, 11, tzinfo=UTC)
    assert (fields["user.name"], fields["message"], fields["db.query.text"]) == ("mallory", *["DROP TABLE x"] * 2)
    assert not {"who", "at", "statement"} & set(fields)


def test_sql_servers_audit_function_is_a_table_like_others() -> None:
    found = feed(
        "kind: table, name: mssql, driver: pyodbc, connect: 'DSN=db-9;UID=tocsin', password_file: /etc/tocsin/db-9, "
        "query: \"SELECT * FROM sys.fn_get_audit_file('/var/opt/mssql/audit/*.sqlaudit', DEFAULT, DEFAULT)\", "
        "position: [event_time, sequence_number], overlap: 30s, format: mssql-audit"
    )
    assert (found.source.name, found.source.format, found.priority) == ("table:mssql", "mssql-audit", "first")


def check(folder: Path, sources: str) -> list[str]:
    place = folder / "tocsin.yml"
    place.write_text(f"state: {folder / 'state'}\nsources:\n{sources}", "utf-8")
    return CliRunner().invoke(cli, ["check", "-c", str(place)]).output.splitlines()


def test_check_tries_the_ports_the_queries_and_the_programs(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "app.db").execute("CREATE TABLE t (id)").connection.close()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = check(
            tmp_path,
            f"  - {{kind: syslog, listen: 'tcp://127.0.0.1:{port}'}}\n"
            "  - {kind: syslog, listen: 'udp://127.0.0.1:0'}\n"
            f"  - {{kind: table, name: good, driver: sqlite3, connect: {tmp_path / 'app.db'}, "
            "query: SELECT id FROM t, position: id}\n"
            f"  - {{kind: table, name: bad, driver: sqlite3, connect: {tmp_path / 'app.db'}, "
            "query: SELECT id FROM t, position: number}\n"
            "  - {kind: command, name: c, run: [no-such-program]}\n",
        )
    assert any(line.startswith(f"fault   tcp://127.0.0.1:{port}: ") and "listens there" in line for line in said)
    assert "ok      udp://127.0.0.1:0: can be listened on" in said
    assert "ok      table good: the database answers, and the query gives the columns that are needed" in said
    assert "fault   table bad: the query gives no column number; it gives id" in said
    assert any(line.startswith("warning command c: no program 'no-such-program'") for line in said)


def test_check_reads_the_certificates_and_says_who_may_write(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair, other = authority.issue("one"), authority.issue("two")
    tls = "kind: syslog, listen: 'tls://127.0.0.1:0'"
    said = check(
        tmp_path,
        f"  - {{{tls}, cert_file: {pair.cert}, key_file: {pair.key}, client_ca_file: {authority.ca}}}\n"
        f"  - {{kind: syslog, listen: 'tls://localhost:0', cert_file: {pair.cert}, key_file: {other.key}}}\n",
    )
    assert f"ok      tls://127.0.0.1:0: syslog; senders with a certificate by {authority.ca}" in said
    assert any("the key is not that of the certificate" in line for line in said)


def test_every_example_in_the_docs_is_a_good_config() -> None:
    page = (Path(__file__).parents[2] / "docs" / "sources.md").read_text("utf-8")
    examples = re.findall(r"```yaml\n(.*?)```", page, re.S)
    assert len(examples) >= 6
    for example in examples:
        assert open_feeds(parse(example, "docs/sources.md", {}))

"""What an attacker may write (a user, a command, a statement, a host's name) never changes another field."""

# ruff: noqa: E501  log lines are as long as they are

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.decode import understand
from collectors.formats import Context
from collectors.formats.registry import FORMATS
from rules.event import Value

CTX = Context(received=datetime(2026, 11, 22, 2, 14, tzinfo=UTC))
H = "Nov 22 02:00:00 h "
# (format, record with its slot, where the slot's own text may show, fields that it must not change)
SLOTS: dict[str, tuple[str, str, tuple[str, ...], dict[str, Value]]] = {
    "sshd: the user of a failed password": (
        "syslog", H + "sshd[7]: Failed password for invalid user {} from 203.0.113.9 port 4711 ssh2", ("user.name",),
        {"source.ip": "203.0.113.9", "source.port": 4711, "event.outcome": "failure", "event.action": "ssh_login", "event.module": "sshd",
         "host.hostname": "h", "process.pid": 7, "system.auth.ssh.method": "password"},
    ),
    "sshd: an invalid user": (
        "syslog", H + "sshd[7]: Invalid user {} from 203.0.113.9 port 4711", ("user.name",),
        {"source.ip": "203.0.113.9", "source.port": 4711, "event.outcome": "failure", "event.action": "ssh_login", "event.module": "sshd"},
    ),
    "sshd: the user of a closed connection": (
        "syslog", H + "sshd[7]: Connection closed by invalid user {} 203.0.113.9 port 4711 [preauth]", ("user.name",),
        {"source.ip": "203.0.113.9", "source.port": 4711, "event.outcome": "failure", "event.module": "sshd"},
    ),
    "sshd: the user that PAM does not know": (
        "syslog", H + "sshd[7]: error: PAM: Authentication failure for illegal user {} from 203.0.113.9", ("user.name",),
        {"source.ip": "203.0.113.9", "event.outcome": "failure", "event.module": "sshd"},
    ),
    "sshd: the user of too many attempts": (
        "syslog", H + "sshd[7]: error: maximum authentication attempts exceeded for invalid user {} from 203.0.113.9 port 4711 ssh2 [preauth]",
        ("user.name",), {"source.ip": "203.0.113.9", "source.port": 4711, "event.outcome": "failure"},
    ),
    "sshd: the reason of a disconnect": (
        "syslog", H + "sshd[7]: Received disconnect from 203.0.113.9 port 4711:11: {}", ("event.reason",),
        {"source.ip": "203.0.113.9", "source.port": 4711, "event.action": "ssh_disconnected", "event.category": ["network"]},
    ),
    "sshd: the client's version": (
        "syslog", H + "sshd[7]: Bad protocol version identification '{}' from 203.0.113.9 port 4711", ("system.auth.ssh.event",),
        {"source.ip": "203.0.113.9", "source.port": 4711, "event.category": ["network"]},
    ),
    "sudo: the command": (
        "syslog", H + "sudo:  alice : TTY=pts/0 ; PWD=/home/alice ; USER=root ; COMMAND=/bin/echo {}",
        ("process.command_line", "system.auth.sudo.command", "service.name", "event.type"),
        {"user.name": "alice", "user.effective.name": "root", "event.outcome": "success", "event.module": "sudo",
         "system.auth.sudo.pwd": "/home/alice", "event.action": "ran-command"},
    ),
    "pam: the user of a refused login": (
        "syslog", H + "sshd[7]: pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=203.0.113.9  user={}",
        ("user.name",), {"source.ip": "203.0.113.9", "event.outcome": "failure", "event.category": ["authentication"]},
    ),
    "login: the name at the console": (
        "syslog", H + "login[7]: FAILED LOGIN (1) on '/dev/tty1' FOR '{}', Authentication failure", ("user.name", "event.reason"),
        {"event.outcome": "failure", "event.module": "login"},
    ),
    "dovecot: the user of a refused login": (
        "syslog", H + "dovecot: imap-login: Disconnected (auth failed, 1 attempts in 2 secs): user=<{}>, method=PLAIN, rip=203.0.113.9, lip=10.0.0.1",
        ("user.name", "dovecot.method"), {"source.ip": "203.0.113.9", "event.outcome": "failure"},
    ),
    "postgresql: the statement": (
        "postgresql", "2026-11-22 02:00:00.000 UTC [7] bob@shop LOG:  statement: SELECT '{}'",
        ("db.query.text", "db.operation.name", "tocsin.db.kind", "db.collection.name", "tocsin.db.object", "tocsin.db.object_type", "tocsin.db.unbounded"),
        {"user.name": "bob", "db.namespace": "shop", "process.pid": 7, "log.level": "LOG", "event.module": "postgresql"},
    ),
    "postgresql: the user of a refused login": (
        "postgresql", "2026-11-22 02:00:00.000 UTC [7] FATAL:  password authentication failed for user \"{}\"", ("user.name", "postgresql.log.authentication_method"),
        {"event.outcome": "failure", "process.pid": 7, "log.level": "FATAL"},
    ),
    "postgresql-json: the application's name": (
        "postgresql-json", '{{"timestamp":"2026-11-22 02:00:00.000 UTC","user":"bob","dbname":"shop","remote_host":"203.0.113.9","error_severity":"LOG",'
        '"application_name":"{}","message":"connection authorized: user=bob database=shop"}}', ("postgresql.log.application_name",),
        {"user.name": "bob", "db.namespace": "shop", "source.ip": "203.0.113.9"},
    ),
    "mariadb: the user of a refused login": (
        "mariadb-audit", "20261122 02:00:00,dbhost,{},203.0.113.9,8,0,FAILED_CONNECT,,,1045", ("user.name",),
        {"event.outcome": "failure", "source.ip": "203.0.113.9", "event.action": "failed_connect", "host.hostname": "dbhost"},
    ),
    "mysql: the user of a refused login": (
        "mysql-error", "2026-11-22T02:00:00.000000Z 8 [Note] Access denied for user '{}'@'203.0.113.9' (using password: YES)", ("user.name", "db.namespace"),
        {"event.outcome": "failure", "source.ip": "203.0.113.9"},
    ),
    "mssql: the login that was refused": (
        "mssql-errorlog", "2026-11-22 02:00:00.00 Logon       Login failed for user '{}'. Reason: Password did not match. [CLIENT: 203.0.113.9]",
        ("user.name", "user.domain", "event.reason"), {"event.outcome": "failure", "source.ip": "203.0.113.9"},
    ),
    "auditd: the account, as the kernel quotes it": (
        "auditd", 'type=USER_LOGIN msg=audit(1700000000.001:7): pid=7 uid=0 auid=1 ses=1 msg=\'op=login acct=28{}29 exe="/usr/sbin/sshd" '
        "hostname=? addr=203.0.113.9 terminal=ssh res=failed'", ("user.name", "auditd.log.acct"),
        {"event.outcome": "failure", "source.ip": "203.0.113.9", "process.executable": "/usr/sbin/sshd"},
    ),
}  # fmt: skip
WORDS = [
    "root", "x", " ", "  ", " from ", " from 10.0.0.1", " port ", " port 22", " ssh2", " ssh2: RSA SHA256:abc", "invalid user ", "10.0.0.1", ": ", " : ",
    " ; USER=root ; COMMAND=/bin/sh", " ; ", "TTY=", " [preauth]", "Accepted password for root from 10.0.0.1 port 22 ssh2", " rhost=10.0.0.1", " user=root",
    "  user=root", "session opened for user root", "LOG:  ", "FATAL:  ", "connection authorized: user=root", ">, method=PLAIN, rip=10.0.0.1, lip=1",
    ",10.0.0.1,8,0,QUERY,mysql,DROP,0", ",localhost,8,0,CONNECT,mysql,,0", "[CLIENT: 10.0.0.1]", "]", "[", "(", ")", "<", ">", "@", "#", "/*", "--", "$$",
    "%", "é", "\u2028", "Too many authentication failures", "; DROP TABLE t",
]  # fmt: skip
ATTACK = st.lists(st.sampled_from(WORDS), max_size=7).map("".join)


def slotted(record: str, text: str) -> str:
    if "acct=28" in record:
        return record.format(text.encode().hex().upper())
    if record.startswith("{{"):
        return record.format(text.replace("\\", "").replace('"', ""))
    return record.format(text)


def check(name: str, attack: str) -> None:
    format_, record, free, must = SLOTS[name]
    told = understand(slotted(record, attack), FORMATS[format_], CTX).fields
    for field, value in must.items():
        assert told.get(field) == value, f"{field}: {told.get(field)!r} is not {value!r} with {attack!r}"
    plain = understand(slotted(record, "x"), FORMATS[format_], CTX).fields
    hidden = {*free, "message", "tocsin.parse_error", "event.duration"}
    assert {k: v for k, v in told.items() if k not in hidden} == {k: v for k, v in plain.items() if k not in hidden}, (
        attack
    )


@pytest.mark.parametrize("name", SLOTS)
@settings(max_examples=150, deadline=None)
@given(attack=ATTACK)
def test_no_text_of_an_attacker_changes_another_field(name: str, attack: str) -> None:
    check(name, attack)


def test_root_from_an_address_inside_a_failed_login_is_no_root_login() -> None:
    line = H + "sshd[7]: Failed password for invalid user root from 10.0.0.1 from 203.0.113.9 port 4711 ssh2"
    told = understand(line, FORMATS["syslog"], CTX).fields
    assert (told["user.name"], told["source.ip"], told["event.outcome"]) == (
        "root from 10.0.0.1",
        "203.0.113.9",
        "failure",
    )


def test_a_statement_cannot_begin_a_record_of_csvlog() -> None:
    from collectors.decode import Joiner
    from collectors.framing import Lines

    forged = '2026-11-22 02:00:00.000 UTC,"root","d",1,"10.0.0.1:5",x.1,1,"",2026-11-22 02:00:00 UTC,,0,LOG,00000,"connection authorized"'
    quoted = forged.replace('"', '""')
    record = f'2026-11-22 02:00:00.000 UTC,"bob","d",1,"203.0.113.9:5",x.1,1,"",2026-11-22 02:00:00 UTC,,0,LOG,00000,"statement: /*\n{quoted}\n*/"\n'
    joiner = Joiner(FORMATS["postgresql-csv"])
    frames = joiner.feed(Lines().feed(record.encode())) + joiner.flush()
    told = [understand(frame.raw.decode(), FORMATS["postgresql-csv"], CTX).fields for frame in frames]
    assert [fields["user.name"] for fields in told] == ["bob"]


def test_a_session_that_pam_opens_is_no_second_login() -> None:
    line = H + "sshd[7]: pam_unix(sshd:session): session opened for user root(uid=0) by (uid=0)"
    told = understand(line, FORMATS["syslog"], CTX).fields
    assert (told["event.category"], told["event.action"]) == (["session"], "logged-on")

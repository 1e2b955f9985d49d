"""What every format owes: an event or ParseError for any text, in linear time, and no field by another's words."""

# ruff: noqa: E501  log lines are as long as they are

from __future__ import annotations

import string
import time
from collections.abc import Callable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from collectors.decode import decode, understand
from collectors.formats import Context, Parsed, ParseError, pam, sshd, sudo
from collectors.formats.registry import FORMATS
from rules.event import nested, rfc3339
from tests.properties import examples

CTX = Context(received=datetime(2026, 11, 22, 2, 14, tzinfo=UTC))
HEADS = {
    "auto": [""],
    "syslog": ["Nov 22 02:00:00 h sshd[1]: ", "<86>1 2026-11-22T02:00:00Z h sudo - - - ", "2026-11-22T02:00:00Z h su: ", "<13>",
               "Nov 22 02:00:00 h postgres[1]: [1-1] ", "Nov 22 02:00:00 h mysqld: ", "Nov 22 02:00:00 h sudo: a : ", "Nov 22 02:00:00 h login: ", "Nov 22 02:00:00 h useradd: ",
               "Nov 22 02:00:00 h polkitd: ", "Nov 22 02:00:00 h xrdp: ", "Nov 22 02:00:00 h CRON: ",
               "[20261122-02:00:00] [INFO ] ", "[2026-11-22 02:00:00 +0000] info [cpsrvd] 1.2.3.4 - a ", "Nov 22 02:00:00 h [sssd[a[1]]]: ", "Nov 22 02:00:00 h audit[1]: USER_LOGIN pid=1 ", "1 2026-11-22T02:00:00Z h sshd 7 - ",
               "Nov 22 02:00:00 h sshd[1]: pam_rhosts(rlogin:auth): allowed access to ",
               "Nov 22 02:00:00 h dropbear: ", "Nov 22 02:00:00 h proftpd: h (a[1.2.3.4]) - ", "Nov 22 02:00:00 h vsftpd: ", "Nov 22 02:00:00 h sftp-server: ", "Nov 22 02:00:00 h dovecot: imap-login: "],
    "sshd": ["", "Failed password for ", "Accepted publickey for ", "Disconnecting ", "Received disconnect from "],
    "auditd": ["type=SYSCALL msg=audit(1700000000.001:1): ", "type=EXECVE msg=audit(1700000000.001:1): argc=1 a0="],
    "postgresql": ["2026-11-22 02:00:00.000 UTC [1] LOG:  ", "2026-11-22 02:00:00 UTC [1] u@d LOG:  statement: "],
    "postgresql-csv": ['2026-11-22 02:00:00.000 UTC,"u","d",1,"1.2.3.4:5",x.1,1,"",2026-11-22 02:00:00 UTC,,0,LOG,00000,"'],
    "postgresql-json": ['{"timestamp":"2026-11-22 02:00:00.000 UTC","error_severity":"LOG","message":"'],
    "pgaudit": ["AUDIT: SESSION,1,1,READ,SELECT,TABLE,public.t,"],
    "mariadb-audit": ["20261122 02:00:00,h,root,localhost,1,2,QUERY,db,'", "20261122 02:00:00,h,"],
    "mysql-error": ["2026-11-22T02:00:00.000000Z 1 [Warning] ", "261122  2:00:00 "],
    "mysql-general": ["2026-11-22T02:00:00.000000Z\t 8 Query\t", "\t\t 8 Connect\t"],
    "mysql-slow": ["USE a; " * 60, "CREATE USER 'a'@'b' " * 30, "# Time: 2026-11-22T02:00:00Z\n", "# User@Host: a[a] @ b [1.2.3.4]\n"],
    "mysql-audit-json": ['{"timestamp":"2026-11-22 02:00:00","event":"'],
    "mysql-audit-xml": ["<AUDIT_RECORD>", "<AUDIT_RECORD NAME='"],
    "mssql-errorlog": ["2026-11-22 02:00:00.00 Logon       "],
    "mssql-audit": ["audit_schema_version:1\naction_id:", '{"action_id":"'],
    "mongodb": ['{"t":{"$date":"2026-11-22T02:00:00.000+00:00"},"s":"I","msg":"'],
    "mongodb-text": ["2026-11-22T02:00:00.000+0000 I ACCESS [conn1] "],
    "mongodb-audit": ['{"atype":"authenticate","ts":{"$date":"'],
    "windows-event": ["<Event><System><EventID>4624</EventID>", '{"EventID":4624,"'],
    "journald": ['{"MESSAGE":"', "__CURSOR=a\nMESSAGE="],
    "cri": ["2026-11-22T02:00:00.000000000Z stdout F "],
    "docker": ['{"log":"'],
    "json": ["{", '{"message":'],
}  # fmt: skip
NASTY = [
    " from ", " port ", " ssh2", "invalid user ", "root", "1.2.3.4", "\n", "\r", "\t", "\x00", "\x1d", "\udc80".encode("utf-8", "replace").decode(),
    '"', "'", "`", "[", "]", "{", "}", "(", ")", "<", ">", "=", ",", ";", ":", " : ", " ; ", "USER=", "COMMAND=", "TTY=", "PWD=", " rhost=",
    " user=", "uid=0", "by (uid=0)", "\\", "\\x", "/*", "*/", "--", "#", "$$", "é", "٣", "\u2028", "99999999999999999999", "LOG:  ", "FATAL:  ",
    "AUDIT: ", "type=", "msg=audit(1.001:1): ", "2026-11-22 02:00:00 UTC", "Nov 22 02:00:00", "SELECT", "DROP TABLE t", "session opened for user ",
    "pam_unix(sshd:auth): ", "authentication failure; logname= uid=0 euid=0 tty=ssh ruser=", "null", "true", "1e999", "\\ud800", "<!DOCTYPE a>",
]  # fmt: skip
PIECES = st.lists(
    st.one_of(st.sampled_from(NASTY), st.text(string.printable, max_size=6), st.text(max_size=4)), max_size=24
).map("".join)


def encoded(parsed: Parsed) -> bytes:
    """Take an event as far as the stream: what cannot be written down would stop a stage."""
    time = parsed.time or CTX.received
    assert time.tzinfo is not None
    return msgspec.json.encode(nested({"@timestamp": rfc3339(time), **parsed.fields}))


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=examples(60))
@given(data=st.data())
def test_any_text_gives_an_event_or_parse_error(name: str, data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(HEADS[name])) + data.draw(PIECES)
    encoded(understand(text, FORMATS[name], CTX))


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=examples(30))
@given(raw=st.binary(max_size=80))
def test_any_bytes_give_an_event_or_parse_error(name: str, raw: bytes) -> None:
    encoded(understand(decode(raw), FORMATS[name], CTX))


@given(st.binary())
@example(b"\xff\xfe")
def test_decoding_is_the_same_each_time_and_keeps_what_is_utf8(raw: bytes) -> None:
    text = decode(raw)
    assert text == decode(raw)
    text.encode("utf-8")


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("zone", ["UTC", "Europe/Zurich", "America/St_Johns"])
@settings(max_examples=examples(15))
@given(
    year=st.integers(0, 9999),
    month=st.integers(0, 13),
    day=st.integers(0, 32),
    hour=st.integers(0, 25),
    second=st.integers(0, 61),
)
def test_any_date_gives_an_event_or_parse_error(  # noqa: PLR0917
    name: str, zone: str, year: int, month: int, day: int, hour: int, second: int
) -> None:
    stamp = f"{year:04}-{month:02}-{day:02} {hour:02}:59:{second:02}"
    ctx = Context(received=CTX.received, zone=ZoneInfo(zone))
    for head in HEADS[name]:
        text = head.replace("2026-11-22 02:00:00", stamp).replace("2026-11-22T02:00:00", stamp.replace(" ", "T"))
        encoded(understand(text + "x", FORMATS[name], ctx))


# Each format's worst: what its patterns begin to match and never finish.
WORST = {
    "syslog": ["Failed password for invalid user " + " from 1.2.3.4 port 1 ssh2x" * 50, "error: PAM: a for illegal user " + " from x" * 99,
               "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser=a" + " rhost=b" * 99,
               "Disconnecting invalid user " + ": Too many authentication failures 1.2.3.4 port 5" * 30, "Received disconnect from " + "1:" * 99,
               "Starting session: command for " + " from a port 1" * 40, "message repeated 5 times: [" * 40,
               "error: Refusing certificate ID \"" + '" serial=1 signed by a' * 40, "refused local port forward: originator a port 1, target " + " port 1" * 80,
               "Accepted publickey for a from 1.2.3.4 port 5 ssh2: A-CERT B" + " ID (serial ) CA " * 40, "pam_sss(sshd:auth): authentication success; " + " rhost=a user=b" * 40,
               "Authentication tried for a with correct key" + " but not from a permitted host (" * 30, "Starting session: command (a) '" + "' for a from b" * 40,
               "Operator of unix-session:3 successfully authenticated as unix-user:root to gain authorization for action a for b [" + "] (owned by a" * 40,
               "ssh_dispatch_run_fatal: Connection from invalid user " + " 1.2.3.4 port 5: x" * 40, "kernel: [1] " * 90, "error: " * 40, "fatal: kernel: [1] " * 40, "@a" * 60, "error: message repeated 2 times: [ " * 40,
               "pam_succeed_if(sshd:auth): requirement \"" + "\" not met by user \"" * 40, "pam_rhosts(rlogin:auth): allowed access to " + "@a as b" * 60,
               "Could not open user 'a' authorized keys '" + "': '" * 60, "Received request to connect to path " + ", but the request was denied" * 30,
               "pam_duo(sshd:auth): Denied Duo login for '" + "' from a: '" * 50, "Nasty PTR record \"" + "\" is set up for a" * 40,
               "pam_sss(sshd:account): Access denied for user " + ": 6 (" * 60, "change user name 'a' to '" + "' to '" * 60, "Transferred: sent " + "1" * 99],
    "auto": ['"' + ' "a" FAILED LOGIN b' * 50, "Pubkey auth succeeded for '" + "' with key a from b" * 40, "USER " + ": no such user found from (Login failed): " * 30, 'rename old "' + '" new "' * 60,
             "[a] OK UPLOAD: Client " + '"a", ' * 60, "imap(" + "),1.2.3.4)<1>" * 40, "sql(a" + ",1.2.3.4" * 60, "Exit before auth (user 'a" + "', 3 fails): from <a:1>" * 30,
             "FAILED LOGIN 1 FROM tty1 FOR " + "a, " * 90, "user 'a' (login '" + "' on a) switched to group '" * 30, "++ created session (access granted): username " + ", ip a" * 60,
             "(a) B" + " C" * 60 + " (", "change user 'a" + "' b" * 60, "new account added - account=a" + ", by=" * 60, "AUTHFAIL: user=" + " ip=a time=1" * 40],
    "sshd": ["Failed publickey for invalid user " + " from 1.2.3.4 port 1 ssh2: a" * 40 + "\n"],
    "auditd": ["a=" * 99, "a='" * 99, 'a="' * 99 + "b", "a={" * 99, "AB" * 99],
    "postgresql": ["statement: " + "'" * 99, "statement: " + "/*" * 99, "statement: " + "$a$" * 50, "connection authorized: " + "user=" * 50,
                   'no pg_hba.conf entry for host "1", user "' + '", database "' * 40, "statement: WITH " + "(SELECT " * 40,
                   'password authentication failed for user "' + '" (' * 60],
    "postgresql-csv": ['""' * 60 + "a", ',"' * 60, '"' * 99],
    "pgaudit": ['"' + '""' * 60, ',"' * 60, "/*" * 60],
    "mariadb-audit": ["a" + ",h,1,2,QUERY,d,'" * 20, "\\" * 99, "," * 99],
    "mysql-error": ["Received SHUTDOWN from user " + ". Shutting down a (Version" * 40, "a (initiated by: " + "[a] @ b" * 80, "Access denied for user '" + "'@'" * 60, "Aborted connection 1 to db: '" + "' user: '" * 30],
    "mysql-general": ["SELECT " + "`" * 99, "a@" * 60, " using " * 30],
    "mysql-slow": ["USE a; " * 60, "CREATE USER 'a'@'b' " * 30, "# User@Host: " + "a[" * 60, "# Query_time: " * 20, "# " + "a: " * 60],
    "mssql-errorlog": ["Login failed for user '" + "'. [CLIENT: " * 30, "Database backed up. Database: " * 10, "Database was restored: Database: a, device information: (TYPE=DISK: {'" * 10, "Login failed. " + " [CLIENT: " * 40],
    "mssql-audit": ["statement:" + "a:\n" * 60, "statement:" + "USE a DELETE FROM b UPDATE c SELECT 1 " * 20, "statement:" + "IF x BEGIN " * 40, "<address>" * 40],
    "mongodb-text": ["SASL a authentication failed for " + " on b from client c" * 20, "Failed to authenticate " + "@a with mechanism b" * 20],
    "windows-event": ["<a>" * 60, "<EventData>" * 30, "&a;" * 40],
    "mysql-audit-xml": ["<a>" * 60, "</a>" * 60],
    "journald": ["A\n" * 60, "=" * 99, '"' * 99],
    "json": ['"a":{' * 60, "[" * 99, '{"a":' * 40],
    "mongodb": ["[" * 99, '{"a":' * 40],
    "cri": ["\n" * 99],
    "docker": ["\\n" * 50],
}  # fmt: skip


def seconds(name: str, text: str) -> float:
    best = 9.0
    for _ in range(2):
        started = time.process_time()
        understand(text, FORMATS[name], CTX)
        best = min(best, time.process_time() - started)
    return best


@pytest.mark.parametrize(("name", "worst"), [(name, worst) for name, all_ in WORST.items() for worst in all_])
def test_four_times_the_worst_line_takes_about_four_times_as_long(name: str, worst: str) -> None:
    for head in [*HEADS[name], *(HEADS["syslog"] if name == "auto" else ())]:
        few = 1 + 5_000 // len(worst)
        small, large = seconds(name, head + worst * few), seconds(name, head + worst * few * 4)
        assert large < 0.03 or large < small * 9, f"{small:.4f} s, then {large:.4f} s"


@pytest.mark.parametrize("bad", ["EST5EDT/x", "../../etc/passwd", "", "+99:99", "Mars/Olympus"])
def test_a_zone_that_is_none_is_a_parse_error(bad: str) -> None:
    from collectors.formats.when import zone

    with pytest.raises(ParseError):
        zone(bad)


@pytest.mark.parametrize("zone", [UTC, ZoneInfo("Europe/Berlin"), ZoneInfo("Pacific/Auckland")], ids=str)
@pytest.mark.parametrize(
    "tag", ["sshd[7]: Failed password for a from 1.2.3.4 port 5 ssh2", "x: y", "sudo: a : b", "audit: type=A"]
)
@given(when=st.datetimes(datetime(2025, 11, 1), datetime(2026, 12, 1)), second=st.sampled_from([0, 59, 60, 61]))  # noqa: DTZ001
def test_the_header_that_nearly_all_lines_have_says_what_its_parts_say(
    zone: ZoneInfo, tag: str, when: datetime, second: int
) -> None:
    ctx = Context(received=CTX.received, zone=zone)
    for stamp in (
        f"{when:%b} {when.day:2d} {when:%H:%M}:{second:02}",
        f"{when:%Y-%m-%dT%H:%M}:{second:02}.{when.microsecond:06}+02:00",
        f"{when:%Y-%m-%dT%H:%M}:{second:02}.123Z",
    ):
        quick, slow = (understand(f"{stamp} {blank}host {tag}", FORMATS["syslog"], ctx) for blank in ("", " "))
        assert quick.time == slow.time
        ignored = {"tocsin.parse_error", "message"} if "tocsin.parse_error" in slow.fields else set()
        assert {n: v for n, v in quick.fields.items() if n not in ignored} == {
            n: v for n, v in slow.fields.items() if n not in ignored
        }


SAID = [
    "Failed", "Accepted", " password", " publickey", " for ", "invalid user ", "root", "bob", "a:b", " from ", "10.0.0.1", "::1", "1.2.3.4.5", "01.2.3.4", " port ",
    "22", "999999", " ssh2", ": RSA SHA256:x", " [preauth]", "Invalid user ", "Connection closed by ", "Connection reset by ", "authenticating user ",
    "Received disconnect from ", ":11: ", ":2: ", "bye", "disconnected by user", " ", "  ", "\n", "é", "٣", ":", ";", " : ", "TTY=pts/0 ; ", "PWD=/home/bob ; ",
    "USER=root ; ", "COMMAND=", "/bin/ls", "/usr/bin/systemctl stop x", "pam_unix(sshd:session): ", "session opened for user ", "session closed for user ", "(uid=0)",
    " by ", "(uid=1000)", "GROUP=x ; ", "HOST=h ; ", "ID a (serial 1) CA RSA SHA256:y", "-CERT",
]  # fmt: skip
WHOLE = [
    "Failed password for invalid user bob from 10.0.0.1 port 22 ssh2", "Accepted publickey for bob from 10.0.0.1 port 22 ssh2: RSA SHA256:x",
    "Accepted publickey for bob from 10.0.0.1 port 22 ssh2: RSA-CERT SHA256:x ID a (serial 1) CA RSA SHA256:y", "Invalid user bob from 10.0.0.1 port 22",
    "Connection closed by invalid user bob 10.0.0.1 port 22 [preauth]", "Connection reset by 10.0.0.1 port 22", "Connection closed by authenticating user root 10.0.0.1 port 22",
    "Received disconnect from 10.0.0.1 port 22:11: disconnected by user", "bob : TTY=pts/0 ; PWD=/home/bob ; USER=root ; COMMAND=/bin/ls -l",
    "   bob : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/usr/bin/systemctl stop x.service", "pam_unix(sshd:session): session opened for user root(uid=0) by bob(uid=1000)",
    "pam_unix(sudo:session): session opened for user root(uid=0) by (uid=1000)", "pam_unix(sshd:session): session opened for user bob by (uid=0)",
    "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=10.0.0.1  user=bob",
    "pam_unix(cron:session): session closed for user root", "pam_unix(su:session): session opened for user root by (uid=0)",
]  # fmt: skip


@pytest.mark.parametrize(
    ("quick", "whole"), [(sshd.read, sshd.by_word), (sudo.read, sudo.by_pairs), (pam.read, pam.by_parts)]
)
@settings(max_examples=examples(400))
@given(data=st.data())
def test_what_is_read_in_one_step_says_the_same_as_part_by_part(
    quick: Callable[[str], object], whole: Callable[[str], object], data: st.DataObject
) -> None:
    base = data.draw(st.sampled_from(["", *WHOLE]))
    at = data.draw(st.integers(0, len(base)))
    words = "".join(data.draw(st.lists(st.sampled_from(SAID), max_size=8)))
    message = base[:at] + words + base[at + data.draw(st.sampled_from([0, 0, len(words), len(base)])) :]
    for text in (base, message):
        assert quick(text) == whole(text), text

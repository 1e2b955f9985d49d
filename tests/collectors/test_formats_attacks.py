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
from tests.properties import examples

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
    "sshd: the user whose connection broke": (
        "syslog", H + "sshd[7]: ssh_dispatch_run_fatal: Connection from invalid user {} 203.0.113.9 port 4711: Connection corrupted [preauth]", ("user.name",),
        {"source.ip": "203.0.113.9", "source.port": 4711, "event.outcome": "failure", "event.action": "ssh_connection_failed"},
    ),
    "sshd: the name that a certificate's authority wrote": (
        "syslog", H + 'sshd[7]: Accepted certificate ID "{}" (serial 7) signed by RSA CA SHA256:abc via /etc/ssh/ca.pub',
        ("system.auth.ssh.certificate.id", "system.auth.ssh.signature"),
        {"system.auth.ssh.certificate.serial": "7", "system.auth.ssh.certificate.authority": "RSA CA SHA256:abc", "event.action": "ssh_key_accepted"},
    ),
    "pam_sss: the user that was refused": (
        "syslog", H + "sshd[7]: pam_sss(sshd:auth): received for user {}: 7 (Authentication failure)", ("user.name",),
        {"event.outcome": "failure", "event.action": "authentication_failure"},
    ),
    "pam_unix: a user's name that is none": (
        "syslog", H + "sshd[7]: pam_unix(sshd:auth): bad username [{}]", ("user.name",),
        {"event.outcome": "failure", "event.action": "authentication_failure"},
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
    "cron: the command": (
        "syslog", H + "CRON[7]: (bob) CMD ({})", ("process.command_line",),
        {"user.name": "bob", "event.action": "cron_cmd", "process.name": "CRON", "process.pid": 7},
    ),
    "dropbear: the user of a refused login": (
        "syslog", H + "dropbear[7]: Bad password attempt for '{}' from 203.0.113.9:4711", ("user.name",),
        {"source.ip": "203.0.113.9", "source.port": 4711, "event.outcome": "failure", "event.action": "ssh_login"},
    ),
    "sftp-server: the file": (
        "syslog", H + 'sftp-server[7]: open "/srv/{}" flags READ mode 0666', ("file.path",), {"event.action": "sftp_open", "event.outcome": "success"},
    ),
    "dovecot: the user whose session ended": (
        "syslog", H + "dovecot: imap(bob)<7><x>: Disconnected: Logged out in=1 out=2{}", ("event.reason",),
        {"user.name": "bob", "event.action": "imap_session_ended"},
    ),
    "pure-ftpd: the user of a refused login": (
        "syslog", H + "pure-ftpd[7]: (?@203.0.113.9) [WARNING] Authentication failed for user [{}]", ("user.name",),
        {"source.ip": "203.0.113.9", "event.outcome": "failure"},
    ),
    "xrdp: the user of a refused login": (
        "syslog", H + "xrdp-sesman[7]: [INFO ] AUTHFAIL: user={} ip=203.0.113.9 time=1795312800", ("user.name",),
        {"source.ip": "203.0.113.9", "event.outcome": "failure", "event.action": "rdp_login"},
    ),
    "doas: the command": (
        "syslog", H + "doas[7]: bob ran command /bin/echo {} as root from /home/bob", ("process.command_line",),
        {"user.name": "bob", "user.effective.name": "root", "process.working_directory": "/home/bob", "event.outcome": "success"},
    ),
    "login: the name at a terminal of BSD": (
        "syslog", H + "login[7]: 3 LOGIN FAILURES FROM 203.0.113.9, {}", ("user.name",), {"source.ip": "203.0.113.9", "event.outcome": "failure"},
    ),
    "su: the reason": (
        "syslog", H + "su[7]: pam_authenticate: {}", ("event.reason",), {"event.outcome": "failure", "event.module": "su"},
    ),
    "pkexec: the command": (
        "syslog", H + "pkexec[7]: bob: Executing command [USER=root] [TTY=/dev/pts/1] [CWD=/home/bob] [COMMAND=/bin/echo {}]", ("process.command_line",),
        {"user.name": "bob", "user.effective.name": "root", "process.working_directory": "/home/bob", "event.outcome": "success"},
    ),
    "vsftpd: the file": (
        "syslog", H + 'vsftpd[7]: [bob] OK UPLOAD: Client "203.0.113.9", "/srv/{}", 12 bytes, 1.0Kbyte/sec', ("file.path",),
        {"user.name": "bob", "source.ip": "203.0.113.9", "event.outcome": "success", "event.action": "ftp_upload"},
    ),
    "proftpd: the user of a refused login": (
        "syslog", H + "proftpd[7]: h (203.0.113.9[203.0.113.9]) - USER {}: no such user found from 203.0.113.9 [203.0.113.9] to 10.0.0.1:21",
        ("user.name", "event.reason"), {"source.ip": "203.0.113.9", "event.outcome": "failure"},
    ),
    "rfc 5424: the message of a program that nobody knows": (
        "syslog", '<13>1 2026-11-22T02:00:00Z h app 7 ID [x@1 a="b"] {}', (), {"host.hostname": "h", "process.name": "app", "process.pid": 7},
    ),
    "cri: what a container says": (
        "cri", "2026-11-22T02:00:00.000000000Z stdout F {}", (), {"event.module": "container"},
    ),
    "docker: what a container says": (
        "docker", '{{"log":"{}\\n","stream":"stdout","time":"2026-11-22T02:00:00Z"}}', (), {"event.module": "container"},
    ),
    "journald: a message": (
        "journald", "__REALTIME_TIMESTAMP=1795312800000000\n_HOSTNAME=h\nSYSLOG_IDENTIFIER=app\n_PID=7\n_UID=33\nMESSAGE={}",
        (), {"host.hostname": "h", "process.name": "app", "process.pid": 7},
    ),
    "windows xml: the account of a refused logon": (
        "windows-event", "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><Provider Name='Microsoft-Windows-Security-Auditing'/>"
        "<EventID>4625</EventID><TimeCreated SystemTime='2026-11-22T02:00:00Z'/><Computer>dc1</Computer></System><EventData>"
        "<Data Name='TargetUserName'>{}</Data><Data Name='IpAddress'>203.0.113.9</Data><Data Name='LogonType'>3</Data></EventData></Event>",
        ("user.name", "winlog.event_data.TargetUserName"), {"source.ip": "203.0.113.9", "event.code": "4625", "event.outcome": "failure"},
    ),
    "windows json: the account of a refused logon": (
        "windows-event", '{{"@timestamp":"2026-11-22T02:00:00Z","winlog":{{"event_id":4625,"channel":"Security","event_data":{{"TargetUserName":"{}",'
        '"IpAddress":"203.0.113.9"}}}}}}', ("user.name", "winlog.event_data.TargetUserName"), {"source.ip": "203.0.113.9", "event.outcome": "failure"},
    ),
    "csvlog: the application's name": (
        "postgresql-csv", '2026-11-22 02:00:00.000 UTC,"bob","shop",7,"203.0.113.9:5",x.1,1,"",2026-11-22 02:00:00 UTC,,0,LOG,00000,'
        '"connection authorized: user=bob database=shop",,,,,,,,,"{}"', ("postgresql.log.application_name",),
        {"user.name": "bob", "db.namespace": "shop", "source.ip": "203.0.113.9", "process.pid": 7},
    ),
    "pgaudit: the statement": (
        "pgaudit", 'AUDIT: SESSION,1,1,READ,SELECT,TABLE,public.t,"SELECT \'{}\' FROM t",<not logged>', ("db.query.text", "tocsin.db.target", "tocsin.db.unbounded"),
        {"db.operation.name": "SELECT", "tocsin.db.object": "public.t", "pgaudit.class": "READ", "event.outcome": "success"},
    ),
    "mysql general: the user that connects": (
        "mysql-general", "2026-11-22T02:00:00.000000Z\t 8 Connect\tAccess denied for user '{}'@'203.0.113.9' (using password: YES)", ("user.name",),
        {"event.outcome": "failure", "source.ip": "203.0.113.9", "mysql.thread_id": 8},
    ),
    "mysql slow: the statement": (
        "mysql-slow", "# Time: 2026-11-22T02:00:00Z\n# User@Host: bob[bob] @  [203.0.113.9]  Id: 8\n# Query_time: 2.0  Lock_time: 0.0 Rows_sent: 1  Rows_examined: 0\n"
        "SET timestamp=1795312800;\nSELECT '{}';",
        ("db.query.text", "tocsin.db.target", "db.operation.name", "tocsin.db.kind", "db.collection.name", "tocsin.db.object", "tocsin.db.object_type"),
        {"user.name": "bob", "source.ip": "203.0.113.9", "mysql.thread_id": 8, "event.duration": 2_000_000_000},
    ),
    "mssql audit: the statement": (
        "mssql-audit", '{{"event_time":"2026-11-22 02:00:00","action_id":"SL  ","succeeded":true,"class_type":"U","session_server_principal_name":"bob",'
        '"database_name":"shop","object_name":"t","statement":"SELECT {}","client_ip":"203.0.113.9"}}',
        ("db.query.text", "db.operation.name", "tocsin.db.target", "tocsin.db.unbounded"),
        {"user.name": "bob", "db.namespace": "shop", "tocsin.db.object": "t", "source.ip": "203.0.113.9", "tocsin.db.kind": "read"},
    ),
    "mssql audit, by lines: the statement": (
        "mssql-audit", "audit_schema_version:1\nevent_time:2026-11-22 02:00:00\naction_id:SL\nsucceeded:true\nclass_type:U\nsession_server_principal_name:bob\n"
        "database_name:shop\nobject_name:t\nstatement:SELECT {}\nadditional_information:", ("db.query.text", "db.operation.name", "tocsin.db.target", "tocsin.db.unbounded"),
        {"user.name": "bob", "db.namespace": "shop", "event.outcome": "success", "tocsin.db.kind": "read"},
    ),
    "mongodb: the user of a refused login": (
        "mongodb", '{{"t":{{"$date":"2026-11-22T02:00:00.000+00:00"}},"s":"I","c":"ACCESS","id":20249,"ctx":"conn1","msg":"Authentication failed",'
        '"attr":{{"mechanism":"SCRAM-SHA-256","principalName":"{}","authenticationDatabase":"admin","client":"203.0.113.9:5","result":"UserNotFound"}}}}',
        ("user.name", "mongodb.log.attr.principalName"), {"source.ip": "203.0.113.9", "event.outcome": "failure"},
    ),
    "mongodb-text: the user of a refused login": (
        "mongodb-text", "2026-11-22T02:00:00.000+0000 I ACCESS   [conn7] SASL SCRAM-SHA-1 authentication failed for {} on admin from client 203.0.113.9:5 ; UserNotFound: x",
        ("user.name",), {"source.ip": "203.0.113.9", "event.outcome": "failure"},
    ),
}  # fmt: skip
WORDS = [
    "root", "x", " ", "  ", " from ", " from 10.0.0.1", " port ", " port 22", " ssh2", " ssh2: RSA SHA256:abc", "invalid user ", "10.0.0.1", ": ", " : ",
    " ; USER=root ; COMMAND=/bin/sh", " ; ", "TTY=", " [preauth]", "Accepted password for root from 10.0.0.1 port 22 ssh2", " rhost=10.0.0.1", " user=root",
    "  user=root", "session opened for user root", "LOG:  ", "FATAL:  ", "connection authorized: user=root", ">, method=PLAIN, rip=10.0.0.1, lip=1",
    ",10.0.0.1,8,0,QUERY,mysql,DROP,0", ",localhost,8,0,CONNECT,mysql,,0", "[CLIENT: 10.0.0.1]", "]", "[", "(", ")", "<", ">", "@", "#", "/*", "--", "$$",
    "%", "é", "\u2028", "Too many authentication failures", "; DROP TABLE t", ": Login successful.", "' from 10.0.0.1:22", " (Login failed): x", "): unknown user",
]  # fmt: skip
ATTACK = st.lists(st.sampled_from(WORDS), max_size=7).map("".join)


def slotted(record: str, text: str) -> str:
    if "acct=28" in record:
        return record.format(text.encode().hex().upper())
    if record.startswith("<Event"):
        return record.format(text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))
    if record.startswith(("{{", "AUDIT")) or ',"bob",' in record:
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
@settings(max_examples=examples(150))
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

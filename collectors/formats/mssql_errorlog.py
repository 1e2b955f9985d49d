"""SQL Server's ERRORLOG: `2024-01-02 03:04:05.67 spid51      message`, lines without a time going on with the last.

It says which logins were refused (and made, where auditing of both is on), and what was backed up and restored; of
restores it does not say by whom: SQL Server Audit does. Written from the documentation, not run here: unverified.
"""

from __future__ import annotations

import re
from typing import Final

from collectors.formats import Context, Format, Parsed, ParseError, when
from collectors.formats.address import source
from rules.event import Value

Fields = dict[str, Value]
_HEAD: Final = re.compile(r"\ufeff?(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{1,7}) +(\S{1,64})(?: +|$)", re.ASCII)
_LOGIN: Final = re.compile(r"Login (failed|succeeded) for user '")
# What may follow the name, the surest first: the name is the attacker's, and so ends at the last of them.
_AFTER_NAME: Final = ("'. Reason: ", "'. Connection made", "'. Connection: ", "'. [CLIENT: ", "'.")
_UNTRUSTED: Final = re.compile(
    r"(?:Login failed\.|SSPI handshake failed|Length specified in network packet|The login packet).*"
    r" \[CLIENT: ([^\]\[]*)\]",
    re.DOTALL,
)
_ERROR: Final = re.compile(r"Error: (\d{1,9}), Severity: (\d{1,3}), State: (\d{1,9})\.", re.ASCII)
_NAMED: Final = r"(?:Database: |database |on database )'?([^',]*)'?"
_EVENTS: Final = tuple(
    (re.compile(pattern, re.DOTALL), kind, operation, outcome)
    for pattern, kind, operation, outcome in (
        (rf"Database backed up\. {_NAMED}", "backup", "BACKUP DATABASE", "success"),
        (rf"Database differential changes were backed up\. {_NAMED}", "backup", "BACKUP DATABASE", "success"),
        (rf"Log was backed up\. {_NAMED}", "backup", "BACKUP LOG", "success"),
        (rf"Database was restored: {_NAMED}", "restore", "RESTORE DATABASE", "success"),
        (rf"Database changes were restored\. {_NAMED}", "restore", "RESTORE DATABASE", "success"),
        (rf"Log was restored\. {_NAMED}", "restore", "RESTORE LOG", "success"),
        (r"Restore is complete on database '(.*?)'", "restore", "RESTORE DATABASE", "success"),
        (r"The database '(.*?)' is marked RESTORING", "restore", "RESTORE DATABASE", "unknown"),
        (
            r"(?:BACKUP|RESTORE) failed to complete the command ((?:BACKUP|RESTORE) (?:DATABASE|LOG)) "
            r"(\[(?:[^\]]|\]\])+\]|[^\s.]*)",
            "",
            "",
            "failure",
        ),
        (r"Setting database option (.*) for database \[?'?(.*?)'?\]?\.", "ddl", "ALTER DATABASE", "success"),
        (r"Starting up database '(.*?)'\.", "other", "STARTUP DATABASE", "success"),
    )
)
_DEVICE: Final = re.compile(r".*device information: \((?:FILE=\d+, )?TYPE=\w+: \{'(.*?)'", re.DOTALL)
_PROCESSED: Final = re.compile(r"(BACKUP|RESTORE) (DATABASE|LOG)(?: WITH \w+)? successfully processed (\d{1,18}) pages")
_OPTION: Final = re.compile(
    r"Configuration option '(.*?)' changed from (\S+) to (\S+)\. Run the RECONFIGURE", re.DOTALL
)


_CHECKED: Final = re.compile(
    r"DBCC (\w{1,32}) \((.*?)\)(?: WITH [\w, ]+)? executed by (.*?) (?:found|terminated)", re.DOTALL
)
_KILLED: Final = re.compile(
    r"Process ID (\d{1,9}) was killed by hostname (.*?), host process ID (\d{1,9})\.", re.DOTALL
)
_AUDIT: Final = re.compile(
    r"Audit: (.*?), (?:Initialized and Assigned State: |State changed from: \w+ to: )(\w{1,32})", re.DOTALL
)
_LIFE: Final = (
    (re.compile(r"SQL Server is now ready for client connections"), "server-started", "start"),
    (re.compile(r"SQL Server is terminating |SQL Trace was stopped due to server shutdown"), "server-shutdown", "end"),
)


def base(dataset: str) -> Fields:
    """Return the fields that every SQL Server event has."""
    return {
        "event.kind": "event",
        "event.module": "mssql",
        "event.dataset": dataset,
        "event.category": ["database"],
        "event.type": ["info"],
        "db.system.name": "microsoft.sql_server",
    }


def parse(text: str, ctx: Context) -> Parsed:
    """Return the event of one entry. Raises ParseError if it begins with no time and origin."""
    head = _HEAD.match(text)
    found = when.iso(head[1], ctx) if head is not None else None
    if head is None or found is None:
        raise ParseError("no line of SQL Server's ERRORLOG: no time and origin")
    fields = base("mssql.log")
    fields["mssql.log.origin"] = head[2]
    message = text[head.end() :]
    fields["message"] = message
    understand(message, fields)
    return Parsed(found[0], fields)


def understand(message: str, fields: Fields) -> None:
    """Add what a message of SQL Server means."""
    login = _LOGIN.match(message)
    if login is not None:
        _login(login[1], message[login.end() :], fields)
        return
    untrusted = _UNTRUSTED.match(message)
    if untrusted is not None:
        fields |= {
            "event.category": ["database", "authentication"],
            "event.outcome": "failure",
            "event.action": "login-failed",
        }
        source(fields, untrusted[1].strip())
        return
    error = _ERROR.match(message)
    if error is not None:
        fields |= {"event.code": error[1], "mssql.log.severity": int(error[2]), "event.type": ["error"]}
        return
    option = _OPTION.match(message)
    if option is not None:
        fields |= {
            "event.category": ["database", "configuration"],
            "event.type": ["change"],
            "event.action": "configuration-changed",
            "mssql.log.option": option[1],
            "tocsin.db.kind": "ddl",
            "event.outcome": "success",
        }
        return
    _database(message, fields)
    if "event.action" not in fields:
        _server(message, fields)


def _server(message: str, fields: Fields) -> None:
    """Who checked a database or ended a session, an audit that stops, the server's own coming and going."""
    checked, killed, audit = (pattern.match(message) for pattern in (_CHECKED, _KILLED, _AUDIT))
    if checked is not None:
        fields |= {"db.operation.name": f"DBCC {checked[1]}", "event.action": f"dbcc-{checked[1].lower()}"}
        fields |= {"db.namespace": checked[2].partition(",")[0].strip("'[] "), "tocsin.db.kind": "other"}
        named(checked[3], fields)
    elif killed is not None:
        fields |= {"db.operation.name": "KILL", "event.action": "session-killed", "tocsin.db.kind": "other"}
        fields["mssql.log.session_id"] = int(killed[1])
        source(fields, killed[2])
    elif audit is not None:
        fields |= {"event.category": ["database", "configuration"], "event.type": ["change"]}
        fields |= {"event.action": f"audit-{audit[2].lower().replace('_', '-')}", "mssql.log.audit": audit[1]}
    else:
        life = next((one for one in _LIFE if one[0].match(message)), None)
        if life is not None:
            fields |= {"event.category": ["database", "process"], "event.action": life[1], "event.type": [life[2]]}


def named(login: str, fields: Fields) -> None:
    """Add a login's name, its domain apart; an empty one is nobody's."""
    domain, marked, name = login.rpartition("\\")
    if name:
        fields["user.name"] = name
    if marked:
        fields["user.domain"] = domain


def _login(verdict: str, rest: str, fields: Fields) -> None:
    mark = next((mark for mark in _AFTER_NAME if mark in rest), "")
    user, _, reason = rest.rpartition(mark) if mark else (rest.removesuffix("'"), "", "")
    said, _, peer = rest.rpartition(" [CLIENT: ")
    reason = reason.partition(" [CLIENT: ")[0] if mark == "'. Reason: " else ""
    failed = verdict == "failed"
    fields["event.category"] = ["database", "authentication"] if failed else ["database", "authentication", "session"]
    fields["event.action"] = "login-failed" if failed else "login-succeeded"
    fields["event.outcome"] = "failure" if failed else "success"
    fields["tocsin.db.kind"] = "session"
    named(user, fields)
    if reason:
        fields["event.reason"] = reason
    peer = peer.removesuffix("]").strip() if said else ""
    if peer and peer != "<local machine>":
        source(fields, peer)


def _database(message: str, fields: Fields) -> None:
    processed = _PROCESSED.match(message)
    if processed is not None:
        verb, what, pages = processed.groups()
        fields["db.operation.name"] = f"{verb} {what}"
        fields["tocsin.db.kind"] = "backup" if verb == "BACKUP" else "restore"
        fields["event.action"] = f"{verb}-{what}".lower()
        fields["event.outcome"] = "success"
        fields["mssql.log.pages"] = int(pages)
        return
    for pattern, kind, operation, outcome in _EVENTS:
        found = pattern.match(message)
        if found is None:
            continue
        groups = found.groups()
        fields["db.operation.name"] = operation or groups[0]
        fields["tocsin.db.kind"] = kind or ("backup" if groups[0].startswith("BACKUP") else "restore")
        fields["db.namespace"] = fields["tocsin.db.object"] = groups[-1].strip("[]")
        fields["tocsin.db.object_type"] = "database"
        fields["event.action"] = str(fields["db.operation.name"]).lower().replace(" ", "-")
        fields["event.outcome"] = outcome
        if kind == "ddl":
            fields["mssql.log.option"] = groups[0]
        device = _DEVICE.match(message) if kind in ("backup", "restore") else None
        if device is not None:
            fields["file.path"] = device[1]
        return


def continues(first: str, line: str) -> bool:
    """Say whether `line` goes on in the entry: it begins with no time of its own."""
    return _HEAD.match(line) is None


FORMAT = Format("mssql-errorlog", parse, continues)

"""Which program writes what: the name in a syslog header (or a journal entry) -> the reader of its messages.

A reader is a pure function from the message to the fields that it understood, or None.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, TypeAlias

from collectors.formats import (
    Context,
    ParseError,
    Parser,
    accounts,
    desktop,
    directory,
    dropbear,
    ftp,
    login,
    mail,
    pam,
    sessions,
    sftp,
    sshd,
    sudo,
)
from rules.event import Value

Reader: TypeAlias = Callable[[str], dict[str, Value] | None]


def read_audit(message: str) -> dict[str, Value] | None:
    """Read the kernel's audit trail, which comes by syslog too (from audisp, or by printk without auditd)."""
    from collectors.formats import auditd  # noqa: PLC0415  a collector without an audit trail need not hold it

    return auditd.read(message)


def read_kernel(message: str) -> dict[str, Value] | None:
    """Read what the kernel says where it is its audit trail."""
    at = message.find("type=", 0, 64)
    return read_audit(message[at:]) if at >= 0 and "audit(" in message[at : at + 64] else None


def read_server_audit(message: str) -> dict[str, Value] | None:
    """Read MariaDB's server_audit with output to syslog."""
    from collectors.formats import mariadb_audit  # noqa: PLC0415

    return mariadb_audit.read(message)


_PART: Final = re.compile(r"\[\d{1,10}-(\d{1,10})\] ", re.ASCII)
_NO_TIME: Final = Context(received=datetime(1970, 1, 1, tzinfo=UTC))  # the header's time stands; these state their zone


def read_postgres(message: str) -> dict[str, Value] | None:
    """Read PostgreSQL's log by syslog: `[5-1] ` before the usual line; a statement's further parts stay as they are."""
    from collectors.formats import postgresql  # noqa: PLC0415

    part = _PART.match(message)
    if part is not None and part[1] != "1":
        return None
    return _of(postgresql.parse, message[part.end() :] if part else message)


def read_mysqld(message: str) -> dict[str, Value] | None:
    """Read MySQL's error log by syslog, or by systemd from its standard error."""
    from collectors.formats import mysql_error  # noqa: PLC0415

    return _of(mysql_error.parse, message)


def _of(parse: Parser, message: str) -> dict[str, Value] | None:
    try:
        return parse(message, _NO_TIME).fields
    except ParseError:
        return None


_READERS: Final[dict[str, Reader]] = {
    "sshd": sshd.read,
    "sshd-session": sshd.read,
    "sshd-auth": sshd.read,
    "internal-sftp": sftp.read,
    "sftp-server": sftp.read,
    "dropbear": dropbear.read,
    "sudo": sudo.read,
    "doas": sudo.read_doas,
    "su": login.read_su,
    "su-l": login.read_su,
    "login": login.read,
    "unix_chkpwd": accounts.read_chkpwd,
    "useradd": accounts.read,
    "usermod": accounts.read,
    "userdel": accounts.read,
    "groupadd": accounts.read,
    "groupmod": accounts.read,
    "groupdel": accounts.read,
    "groupmems": accounts.read,
    "newusers": accounts.read,
    "adduser": accounts.read,
    "deluser": accounts.read,
    "passwd": accounts.read,
    "chpasswd": accounts.read,
    "chgpasswd": accounts.read,
    "gpasswd": accounts.read,
    "chage": accounts.read,
    "chsh": accounts.read,
    "chfn": accounts.read,
    "vipw": accounts.read,
    "vigr": accounts.read,
    "newgrp": accounts.read,
    "sg": accounts.read,
    "pwconv": accounts.read,
    "systemd": sessions.read_systemd,
    "systemd-logind": sessions.read_logind,
    "elogind": sessions.read_logind,
    "polkitd": sessions.read_polkit,
    "pkexec": sessions.read_pkexec,
    "CRON": sessions.read_cron,
    "cron": sessions.read_cron,
    "crond": sessions.read_cron,
    "CROND": sessions.read_cron,
    "crontab": sessions.read_crontab,
    "anacron": sessions.read_anacron,
    "atd": sessions.read_atd,
    "gdm": desktop.read,
    "gdm3": desktop.read,
    "gdm-password": desktop.read,
    "gdm-session-worker": desktop.read,
    "lightdm": desktop.read,
    "sddm": desktop.read,
    "sddm-helper": desktop.read,
    "kcheckpass": desktop.read,
    "xscreensaver": desktop.read,
    "gnome-keyring-daemon": desktop.read,
    "xrdp": desktop.read_xrdp,
    "xrdp-sesman": desktop.read_xrdp,
    "xrdp-sesexec": desktop.read_xrdp,
    "cpsrvd": desktop.read_cpsrvd,
    "sssd": directory.read,
    "sssd_be": directory.read,
    "sssd_pam": directory.read,
    "sssd_nss": directory.read,
    "krb5_child": directory.read,
    "ldap_child": directory.read,
    "vsftpd": ftp.read_vsftpd,
    "proftpd": ftp.read_proftpd,
    "pure-ftpd": ftp.read_pureftpd,
    "ftpd": ftp.read_ftpd,
    "postgres": read_postgres,
    "mysqld": read_mysqld,
    "mariadbd": read_mysqld,
    "dovecot": mail.read,
    "dovecot-auth": mail.read,
    "auth": mail.read,
    "Info": mail.read,
    "Warning": mail.read,
    "Error": mail.read,
    "kernel": read_kernel,
    "audispd": read_audit,
    "audisp-syslog": read_audit,
    "audit": read_audit,
    "mariadb": read_server_audit,
    "mysql-server_auditing": read_server_audit,
    "auth-worker": mail.read,
    "imap-login": mail.read,
    "pop3-login": mail.read,
    "managesieve-login": mail.read,
    "submission-login": mail.read,
}


def understand(program: str, fields: dict[str, Value]) -> dict[str, Value]:
    """Add to `fields` what the program meant by `message`, and return them; an unknown message stays as it is."""
    message = fields["message"]
    assert isinstance(message, str)
    fields.update(read(program, message) or {})
    return fields


def read(program: str, message: str) -> dict[str, Value] | None:
    """Return what the program meant by a message, in a dict that is the caller's; None if nobody knows it."""
    reader = _READERS.get(program)
    if reader is None and program:
        reader, message = _by_tag(program, message)
    if message[:1] in _PAM and message.startswith(_PAM_WORDS):
        found = pam.read(message, program)
        if found is not None:
            return found
    found = reader(message) if reader is not None else None
    if found is None and (again := _REPEATED.match(message)) is not None:
        return {"event.module": "syslog", "event.dataset": "system.syslog", "event.category": ["host"],
                "event.type": ["info"], "event.action": "message_repeated", "tocsin.repeat": int(again[1])}  # fmt: skip
    if found is None and reader is not None and program not in _SHARED:
        return {"event.module": _MODULES.get(program, program), "event.dataset": "system.auth"}
    return found


# syslogd's own word for lines that it did not write again; whose they were stands in the line before.
_REPEATED: Final = re.compile(r"(?:-{2,3} )?last message (?:repeated|buffered) (\d{1,9}) times?(?: ---?)?\Z", re.ASCII)
_PAM: Final = frozenset("pP(")  # what _PAM_WORDS begin with: one look tells of most messages that they are not PAM's
_PAM_WORDS: Final = ("pam_", "PAM ", "(pam")
_SHARED: Final = frozenset(
    {"systemd", "postgres", "mysqld", "mariadbd", "kernel", "Info", "Warning", "Error", "mariadb"}
)  # names that many programs go by
_MODULES: Final = {
    "sshd-session": "sshd",
    "sshd-auth": "sshd",
    "CRON": "cron",
    "crond": "cron",
    "CROND": "cron",
    "su-l": "su",
}


def _by_tag(program: str, message: str) -> tuple[Reader | None, str]:
    """Find the reader of a tag that is more than a name: a path, `su(pam_unix)`, `auth-worker(default)`."""
    name = program.rpartition("/")[2] if program.startswith("/") else program
    name, _, inner = name.partition("(")
    if inner.startswith("pam_") and not message.startswith(("pam_", "(pam_")):
        return _READERS.get(name), f"{inner.rstrip(')')}({name}): {message}"
    return _READERS.get(name), message

"""Linux audit (auditd's log, audisp's syslog, the kernel's own printk): records of one serial -> one event.

Values that a user may choose come quoted, or in hexadecimal where a quote or a blank is in them; both are undone
here. `user.name` is the account that the record names, `user.audit.*` the person who logged in (auid).
Records of one serial are joined where they stand together, as auditd writes them.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from collectors.formats import Context, Format, Parsed, ParseError, when
from collectors.formats.address import ip, number, source
from collectors.formats.auditd_meaning import meaning
from collectors.formats.auditd_numbers import ARCHES, TYPES
from rules.event import Value

Fields = dict[str, Value]
Pairs = dict[str, str]
_RECORD: Final = re.compile(
    r"(?:node=(\S{1,256}) )?(?:audit: )?type=([A-Z0-9_]{1,64}|UNKNOWN\[\d{1,6}\]) (?:msg=)?"
    r"audit\((\d{1,12})\.(\d{3}):(\d{1,20})\): ?",
    re.ASCII,
)
_BARE: Final = re.compile(r"<?([A-Z][A-Z0-9_]{1,63}|audit-\d{1,5})>? (?=[a-z][\w-]{0,63}=)", re.ASCII)
# key="quoted", key='...' (which holds pairs itself), key={ ... }, key=bare
_PAIR: Final = re.compile(
    r"(?:(old|new) )?([A-Za-z_][\w\[\]-]{0,63})=(?:\"([^\"]*)\"|'([^']*)'?|\{ ?([^}]*)\}|([^\s\x1d'\"]*))", re.ASCII
)
_ENCODED: Final = frozenset({
    "acct", "cmd", "comm", "cwd", "data", "dir", "device", "exe", "file", "grp", "key", "name", "new-disk", "new-fs",
    "ocomm", "old-disk", "path", "proctitle", "vm", "watch", "saddr_path", "cgroup", "new_group", "sw", "sw_type",
})  # fmt: skip
_HEX: Final = re.compile(r"(?:[0-9A-F]{2})+", re.ASCII)
_UNSET: Final = frozenset({"?", "(null)", "(none)", "unset", "4294967295", "-1", ""})
_AUXILIARY: Final = frozenset(
    {
        "CWD",
        "PATH",
        "PROCTITLE",
        "EOE",
        "EXECVE",
        "SOCKADDR",
        "BPRM_FCAPS",
        "CAPSET",
        "FD_PAIR",
        "MMAP",
        "OBJ_PID",
        "IPC",
        "SOCKETCALL",
        "AVC_PATH",
    }
)
_ARGUMENT: Final = re.compile(r"a(\d{1,6})(?:\[(\d{1,6})\])?", re.ASCII)
_IDS: Final = {
    "uid": "user.id",
    "auid": "user.audit.id",
    "euid": "user.effective.id",
    "suid": "user.saved.id",
    "fsuid": "user.filesystem.id",
    "gid": "user.group.id",
    "egid": "user.effective.group.id",
    "sgid": "user.saved.group.id",
    "fsgid": "user.filesystem.group.id",
    "UID": "user.name",
    "AUID": "user.audit.name",
    "EUID": "user.effective.name",
    "SUID": "user.saved.name",
    "GID": "user.group.name",
    "EGID": "user.effective.group.name",
    "FSUID": "user.filesystem.name",
}


class Record:
    """One line of the trail: its type, serial and pairs."""

    __slots__ = ("body", "node", "pairs", "seconds", "serial", "type")

    def __init__(self, line: str) -> None:
        found = _RECORD.match(line)
        if found is None:
            raise ParseError("no audit record: no type=... msg=audit(...)")
        self.node, kind, seconds, millis, self.serial = found.groups()
        self.type = TYPES.get(kind[8:-1] if kind.startswith("UNKNOWN[") else kind, kind)
        self.seconds = (int(seconds), int(millis))
        self.body = line[found.end() :]
        self.pairs = _pairs(self.body, self.type)

    @property
    def time(self) -> datetime:
        """The record's moment; its milliseconds exactly."""
        return when.epoch(self.seconds[0]).replace(microsecond=self.seconds[1] * 1000)


def _pairs(body: str, kind: str) -> Pairs:
    """Return the pairs of a record, those inside msg='...' with them; what is in hexadecimal is undone."""
    out: Pairs = {}
    for found in _PAIR.finditer(body):
        age, key, quoted, inner, braced, bare = found.groups()
        if inner is not None:
            if key == "msg":
                for name, value in _pairs(inner, kind).items():
                    out.setdefault(name, value)
            else:
                out.setdefault(key, inner)
            continue
        if bare is not None:
            value = (
                _decoded(bare)
                if key in _ENCODED
                or (kind == "EXECVE" and key[0] == "a" and key[1:2].isdigit() and not key.endswith("_len"))
                else bare
            )
        else:
            value = quoted if quoted is not None else (braced or "")
        out.setdefault(f"{age}-{key}" if age else key, value)
    return out


def _decoded(text: str) -> str:
    """Undo the kernel's hexadecimal; a NUL between arguments becomes a blank."""
    if len(text) < 2 or _HEX.fullmatch(text) is None:
        return text
    return bytes.fromhex(text).decode("utf-8", "backslashreplace").rstrip("\x00").replace("\x00", " ")


def parse(text: str, ctx: Context) -> Parsed:
    """Return the event of the records of one serial, a line each. Raises ParseError if the first is no record."""
    lines = [line for line in text.split("\n") if line.strip()]
    if not lines:
        raise ParseError("no audit record: the line is empty")
    records = [Record(lines[0])]
    for line in lines[1:]:
        try:
            records.append(Record(line))
        except ParseError:
            continue
    return Parsed(records[0].time, understand(records))


def read(message: str) -> Fields | None:
    """Return the fields of one record that came by syslog, or by the journal, which takes type and serial off."""
    bare = _BARE.match(message)
    try:
        record = Record(message if bare is None else f"type={bare[1]} msg=audit(0.000:0): {message[bare.end() :]}")
    except ParseError:
        return None
    fields = understand([record])
    if bare is not None:
        del fields["auditd.log.sequence"]
    return fields


def understand(records: list[Record]) -> Fields:
    """Return what the records of one event say together."""
    main = next((r for r in records if r.type == "SYSCALL"), None) or next(
        (r for r in records if r.type not in _AUXILIARY), records[0]
    )
    fields: Fields = {
        "event.kind": "event",
        "event.module": "auditd",
        "event.dataset": "auditd.log",
        "event.action": main.type.lower(),
        "auditd.log.record_type": main.type,
        "auditd.log.sequence": int(main.serial) if len(main.serial) < 19 else main.serial,
        "message": main.body,
    }
    if main.node:
        fields["host.hostname"] = main.node
    for record in records:
        if record.type in ("PATH", "EXECVE", "EOE") and record is not main:
            continue
        for key, value in record.pairs.items():
            if value not in _UNSET and key != "arch":
                fields.setdefault(f"auditd.log.{key}", value)
    pairs: Pairs = {}
    for record in (main, *records):
        for key, value in record.pairs.items():
            if record is main or record.type not in ("PATH", "EXECVE", "SOCKADDR"):
                pairs.setdefault(key, value)
    _who(main.type, pairs, fields)
    _process(pairs, records, fields)
    _files(records, pairs, fields)
    syscall = _syscall(main, fields)
    types = [main.type, *(r.type for r in records if r is not main)]
    meaning(types, syscall, pairs, fields)
    _peer(main.type, syscall, pairs, records, fields)
    return fields


def _who(kind: str, pairs: Pairs, fields: Fields) -> None:
    """user.name is the account that the record names; without one, the name that auditd knew for the uid."""
    for key, name in _IDS.items():
        value = pairs.get(key)
        if value is not None and value not in _UNSET:
            fields[name] = value
    if "new-auid" in pairs and "auid" not in pairs:  # LOGIN as kernels before 3.3 wrote it
        fields["user.audit.id"] = pairs["new-auid"]
    account = pairs.get("acct")
    if account is not None and account not in _UNSET:
        fields["user.name"] = account
        if kind.endswith("_GROUP") or kind == "GRP_MGMT":
            fields["group.name"] = account
    if pairs.get("ses", "4294967295") not in _UNSET:
        fields["auditd.session"] = pairs["ses"]
    if "key" in pairs and pairs["key"] not in _UNSET:
        fields["auditd.log.key"] = pairs["key"].replace("\x01", ",")


def _process(pairs: Pairs, records: list[Record], fields: Fields) -> None:
    for key, name in (("pid", "process.pid"), ("ppid", "process.parent.pid")):
        number(fields, name, pairs.get(key, ""))
    for key, name in (
        ("comm", "process.name"),
        ("exe", "process.executable"),
        ("cwd", "process.working_directory"),
        ("proctitle", "process.title"),
    ):
        if pairs.get(key, "") not in _UNSET:
            fields[name] = pairs[key]
    if pairs.get("tty", "") not in _UNSET or pairs.get("terminal", "") not in _UNSET:
        fields["auditd.terminal"] = pairs.get("terminal") or pairs["tty"]
    args = next((_arguments(record.pairs) for record in records if record.type == "EXECVE"), [])
    if not args and "cmd" in pairs and pairs["cmd"] not in _UNSET:
        args = pairs["cmd"].split()
    if args:
        fields["process.args"] = [*args]
        fields["process.args_count"] = len(args)
        fields["process.command_line"] = " ".join(args)


def _arguments(pairs: Pairs) -> list[str]:
    """Put a0, a1 ... in order, and a1[0], a1[1] ... together (an argument longer than a record comes in parts)."""
    parts: dict[int, list[tuple[int, str]]] = {}
    for key, value in pairs.items():
        found = _ARGUMENT.fullmatch(key)
        if found is not None:
            parts.setdefault(int(found[1]), []).append((int(found[2] or 0), value))
    return ["".join(value for _, value in sorted(parts[index])) for index in sorted(parts)]


def _files(records: list[Record], pairs: Pairs, fields: Fields) -> None:
    """Take the file that was acted on from the PATH records: made or removed, else the last that is no parent."""
    paths = [
        record.pairs for record in records if record.type == "PATH" and record.pairs.get("name", "(null)") not in _UNSET
    ]
    if not paths:
        return
    acted = [p for p in paths if (p.get("nametype") or p.get("objtype")) in ("CREATE", "DELETE")]
    plain = [p for p in paths if (p.get("nametype") or p.get("objtype")) != "PARENT"]
    execve = any(record.type == "EXECVE" for record in records)
    chosen = acted[-1] if acted else (plain[0] if execve else plain[-1]) if plain else paths[-1]
    name = chosen["name"]
    cwd = pairs.get("cwd", "")
    fields["file.path"] = name if name.startswith("/") or not cwd.startswith("/") else f"{cwd.rstrip('/')}/{name}"
    fields["auditd.log.name"] = name
    fields["auditd.paths"] = [p["name"] for p in paths]
    for key, field in (("inode", "file.inode"), ("mode", "file.mode"), ("ouid", "file.uid"), ("ogid", "file.gid")):
        if chosen.get(key):
            fields[field] = chosen[key]


def _syscall(main: Record, fields: Fields) -> str:
    """Return the name of the system call, as auditd enriched it or by its number."""
    name = main.pairs.get("SYSCALL", "")
    code = main.pairs.get("syscall", "")
    arch, table = ARCHES.get(main.pairs.get("arch", ""), ("", {}))
    if not name and code.isdecimal() and len(code) < 6:
        name = table.get(code, "")
    if not name and code and not code.isdecimal():
        name = code
    if arch:
        fields["auditd.log.arch"] = arch
    if name:
        fields["auditd.log.syscall"] = name
    return name


def _peer(kind: str, syscall: str, pairs: Pairs, records: list[Record], fields: Fields) -> None:
    """Say who was on the other side: the address that a login came from, or what a socket was given."""
    for key in ("addr", "hostname"):
        value = pairs.get(key, "")
        if value in _UNSET or "source.ip" in fields:
            continue
        if key == "addr" or (ip(value) is not None or kind.startswith(("USER_", "CRED_", "ANOM_LOGIN"))):
            source(fields, value)
    saddr = next((record.pairs["saddr"] for record in records if "saddr" in record.pairs), "")
    address, port = _socket(saddr)
    if not address:
        return
    fields["auditd.log.addr"] = address
    end = "source" if syscall in ("accept", "accept4", "recvfrom", "recvmsg") else "destination"
    if address.startswith(("/", "@")):
        fields[f"{end}.address"] = address
        return
    found = ip(address)
    if found is not None:
        fields[f"{end}.ip"] = found
        fields[f"{end}.port"] = port


def _socket(saddr: str) -> tuple[str, int]:
    """Read a struct sockaddr in hexadecimal: AF_UNIX, AF_INET, AF_INET6 (the family in the host's order)."""
    if len(saddr) < 4 or len(saddr) > 512 or _HEX.fullmatch(saddr.upper()) is None:
        return "", 0
    raw = bytes.fromhex(saddr)
    family = raw[0] or raw[1]
    if family == 1:
        path = raw[2:].split(b"\0", 1)[0] if raw[2:3] != b"\0" else b"@" + raw[3:].split(b"\0", 1)[0]
        return path.decode("utf-8", "backslashreplace"), 0
    if family == 2 and len(raw) >= 8:
        return ".".join(str(byte) for byte in raw[4:8]), int.from_bytes(raw[2:4], "big")
    if family == 10 and len(raw) >= 24:
        groups = ":".join(f"{int.from_bytes(raw[i : i + 2], 'big'):x}" for i in range(8, 24, 2))
        return ip(groups) or groups, int.from_bytes(raw[2:4], "big")
    return "", 0


_SERIAL: Final = re.compile(r"audit\((\d{1,12}\.\d{3}:\d{1,20})\)", re.ASCII)


def serial(line: str) -> str | None:
    """Return what names the event of a line: its time and serial; None if it is no record."""
    found = _SERIAL.search(line, 0, 512)
    return found[1] if found else None


def continues(first: str, line: str) -> bool:
    """Say whether a line is of the same event as the first: the same time and serial."""
    mine = serial(line)
    return mine is not None and mine == serial(first)


FORMAT = Format("auditd", parse, continues)

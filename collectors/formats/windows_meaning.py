"""What a Windows event means in ECS: by its channel and number, from Microsoft's descriptions of them."""

from __future__ import annotations

from typing import Final

from collectors.formats.address import number, source
from collectors.formats.windows_numbers import REASONS, REMOTE, SECURITY, SYSTEM
from rules.event import Value

Fields = dict[str, Value]
Data = dict[str, str]
_LOGON: Final = frozenset(
    {"4624", "4625", "4634", "4647", "4768", "4769", "4770", "4771", "4772", "4773", "4774", "4776", "4777"}
)
_LOGON_TYPES: Final = {
    "2": "Interactive",
    "3": "Network",
    "4": "Batch",
    "5": "Service",
    "7": "Unlock",
    "8": "NetworkCleartext",
    "9": "NewCredentials",
    "10": "RemoteInteractive",
    "11": "CachedInteractive",
    "12": "CachedRemoteInteractive",
    "13": "CachedUnlock",
}


def understand(code: str, system: Data, data: Data, fields: Fields) -> None:
    """Add what the event means. An event that is not listed keeps its data alone."""
    channel, provider = system.get("channel", "").lower(), system.get("provider", "").lower()
    if code in ("33205", "24000", "24001") and (
        "mssql" in provider or "sql" in provider or any("action_id:" in v for v in data.values())
    ):
        fields["event.module"] = "mssql"
        return
    table = (
        REMOTE
        if "terminalservices" in channel or "terminalservices" in provider
        else SYSTEM
        if channel == "system"
        else SECURITY
    )
    if (
        table is SECURITY
        and channel not in ("security", "")
        and "security-auditing" not in provider
        and "eventlog" not in provider
    ):
        return
    found = table.get(code)
    if found is None:
        return
    action, category, types, outcome = found
    fields["event.action"] = action
    fields["event.category"] = [*category]
    fields["event.type"] = [*types]
    fields["event.outcome"] = outcome or _status(code, system, data)
    _who(code, data, fields)
    _where(data, fields)
    why = REASONS.get((data.get("SubStatus") or "").lower()) or REASONS.get((data.get("Status") or "").lower())
    if why is not None and fields["event.outcome"] == "failure":
        fields["event.reason"] = why


def _status(code: str, system: Data, data: Data) -> str:
    """Read success off the status (0x0), or off the audit keyword (0x8010... is a failure)."""
    status = data.get("Status") or data.get("TicketOptions" if code == "" else "Status", "")
    if status:
        return "success" if status.lower() in ("0x0", "0", "0x00000000") else "failure"
    keywords = system.get("keywords", "").lower()
    failed = keywords.startswith(_AUDIT_FAILURE) or "failure" in keywords or data.get("EventType") == "AUDIT_FAILURE"
    return "failure" if failed else "success"


_AUDIT_FAILURE: Final = ("0x8010", "-9218868437227405312")  # the same as a signed number, as NXLog has it


def _who(code: str, data: Data, fields: Fields) -> None:
    """user is who acted; in a logon who logged on; user.target, group are what was changed."""
    target, subject = _account(data, "Target"), _account(data, "Subject")
    if code in ("4769", "4770") and "@" in target.get("name", ""):  # whose ticket it is, by the KDC: alice@EXAMPLE.ORG
        target["name"], _, realm = target["name"].rpartition("@")
        target.setdefault("domain", realm)
    if code == "4740" and "domain" in target:  # Microsoft: the name of the computer that the attempts came from
        fields["source.domain"] = target.pop("domain").lstrip("\\")
    if code in _LOGON or not subject.get("name"):
        _put(fields, "user", target or _plain(data))
        if subject.get("name"):
            _put(fields, "winlog.subject", subject)
        return
    _put(fields, "user", subject)
    if not target:
        return
    kind = fields["event.type"]
    if isinstance(kind, list) and "group" in kind:
        _put(fields, "group", target)
        member = data.get("MemberName", "") or data.get("MemberSid", "")
        if member:
            fields["user.target.name"] = member.partition(",")[0].removeprefix("CN=").removeprefix("cn=")
    elif code == "4648":
        _put(fields, "user.effective", target)
    else:
        _put(fields, "user.target", target)


def _account(data: Data, prefix: str) -> Data:
    names = {"name": ("UserName", "AccountName", "User"), "domain": ("DomainName", "Domain"), "id": ("UserSid", "Sid")}
    found = {
        ours: data[prefix + name]
        for ours, alternatives in names.items()
        for name in reversed(alternatives)
        if data.get(prefix + name)
    }
    if found.get("id") == _NOBODY:
        del found["id"]
    return found


_NOBODY: Final = "S-1-0-0"  # the NULL SID: an account that is none


def _plain(data: Data) -> Data:
    user = data.get("User") or data.get("Param1") or data.get("UserName") or data.get("AccountName", "")
    domain, marked, name = user.rpartition("\\")
    domain = domain if marked else data.get("AccountDomain") or (data.get("Param2", "") if "Param1" in data else "")
    return ({"name": name} | ({"domain": domain} if domain else {})) if name else {}


def _put(fields: Fields, name: str, account: Data) -> None:
    for key, value in account.items():
        fields[f"{name}.{key}"] = value


def _where(data: Data, fields: Fields) -> None:
    """Say where from, and by which process."""
    peer = data.get("IpAddress") or data.get("ClientAddress") or data.get("Address") or data.get("Param3", "")
    if (peer and peer not in ("LOCAL", "::1")) or peer == "::1":
        source(fields, peer, data.get("IpPort") if data.get("IpPort") != "0" else None)
    station = data.get("WorkstationName") or data.get("Workstation") or data.get("ClientName", "")
    if station:
        fields["source.domain"] = station.lstrip("\\")
    if data.get("LogonType"):
        fields["winlog.logon.type"] = _LOGON_TYPES.get(data["LogonType"], data["LogonType"])
    program = data.get("NewProcessName") or data.get("ProcessName", "")
    if program:
        fields["process.executable"] = program
        fields["process.name"] = program.rpartition("\\")[2]
    if data.get("CommandLine"):
        fields["process.command_line"] = data["CommandLine"]
    pid = data.get("NewProcessId") or data.get("ProcessId", "")
    if pid in ("0x0", "0"):  # none was named
        return
    if pid.startswith("0x") and len(pid) < 12:
        try:
            fields["process.pid"] = int(pid, 16)
        except ValueError:
            return
    else:
        number(fields, "process.pid", pid)

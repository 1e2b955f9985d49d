"""What a Windows event means in ECS: by its channel and number, from Microsoft's descriptions of them."""

from __future__ import annotations

from typing import Final

from collectors.formats.address import number, source
from rules.event import Value

Fields = dict[str, Value]
Data = dict[str, str]
_AUTH: Final = ("authentication",)
_IAM: Final = ("iam",)
# number -> (event.action, event.category, event.type, outcome or None: by the event's own status)
_SECURITY: Final[dict[str, tuple[str, tuple[str, ...], tuple[str, ...], str | None]]] = {
    "1100": ("logging-service-shutdown", ("process",), ("end",), "success"),
    "1102": ("audit-log-cleared", ("iam", "configuration"), ("admin", "change"), "success"),
    "4608": ("system-started", ("host",), ("start",), "success"),
    "4616": ("system-time-changed", ("host",), ("change",), "success"),
    "4624": ("logged-in", ("authentication", "session"), ("start",), "success"),
    "4625": ("logon-failed", _AUTH, ("start",), "failure"),
    "4634": ("logged-out", ("authentication", "session"), ("end",), "success"),
    "4647": ("logged-out", ("authentication", "session"), ("end",), "success"),
    "4648": ("logged-in-explicit", _AUTH, ("start",), "success"),
    "4657": ("registry-value-modified", ("registry", "configuration"), ("change",), "success"),
    "4663": ("object-access-attempted", ("file",), ("access",), "success"),
    "4670": ("permissions-changed", ("iam", "configuration"), ("admin", "change"), "success"),
    "4672": ("logged-in-special", _IAM, ("admin",), "success"),
    "4688": ("created-process", ("process",), ("start",), "success"),
    "4689": ("exited-process", ("process",), ("end",), "success"),
    "4697": ("service-installed", ("iam", "configuration"), ("admin", "change"), "success"),
    "4698": ("scheduled-task-created", ("iam", "configuration"), ("creation", "admin"), "success"),
    "4699": ("scheduled-task-deleted", ("iam", "configuration"), ("deletion", "admin"), "success"),
    "4700": ("scheduled-task-enabled", ("iam", "configuration"), ("change", "admin"), "success"),
    "4701": ("scheduled-task-disabled", ("iam", "configuration"), ("change", "admin"), "success"),
    "4702": ("scheduled-task-updated", ("iam", "configuration"), ("change", "admin"), "success"),
    "4704": ("user-right-assigned", _IAM, ("admin", "change"), "success"),
    "4705": ("user-right-removed", _IAM, ("admin", "change"), "success"),
    "4719": ("changed-audit-config", ("iam", "configuration"), ("admin", "change"), "success"),
    "4720": ("added-user-account", _IAM, ("user", "creation"), "success"),
    "4722": ("enabled-user-account", _IAM, ("user", "change"), "success"),
    "4723": ("changed-password", _IAM, ("user", "change"), None),
    "4724": ("reset-password", _IAM, ("user", "change"), None),
    "4725": ("disabled-user-account", _IAM, ("user", "change"), "success"),
    "4726": ("deleted-user-account", _IAM, ("user", "deletion"), "success"),
    "4727": ("added-group-account", _IAM, ("group", "creation"), "success"),
    "4728": ("added-member-to-group", _IAM, ("group", "change"), "success"),
    "4729": ("removed-member-from-group", _IAM, ("group", "change"), "success"),
    "4730": ("deleted-group-account", _IAM, ("group", "deletion"), "success"),
    "4731": ("added-group-account", _IAM, ("group", "creation"), "success"),
    "4732": ("added-member-to-group", _IAM, ("group", "change"), "success"),
    "4733": ("removed-member-from-group", _IAM, ("group", "change"), "success"),
    "4734": ("deleted-group-account", _IAM, ("group", "deletion"), "success"),
    "4735": ("modified-group-account", _IAM, ("group", "change"), "success"),
    "4737": ("modified-group-account", _IAM, ("group", "change"), "success"),
    "4738": ("modified-user-account", _IAM, ("user", "change"), "success"),
    "4739": ("domain-policy-changed", ("iam", "configuration"), ("change", "admin"), "success"),
    "4740": ("locked-out-user-account", _IAM, ("user", "change"), "success"),
    "4754": ("added-group-account", _IAM, ("group", "creation"), "success"),
    "4755": ("modified-group-account", _IAM, ("group", "change"), "success"),
    "4756": ("added-member-to-group", _IAM, ("group", "change"), "success"),
    "4757": ("removed-member-from-group", _IAM, ("group", "change"), "success"),
    "4758": ("deleted-group-account", _IAM, ("group", "deletion"), "success"),
    "4764": ("type-changed-group-account", _IAM, ("group", "change"), "success"),
    "4767": ("unlocked-user-account", _IAM, ("user", "change"), "success"),
    "4768": ("kerberos-authentication-ticket-requested", _AUTH, ("start",), None),
    "4769": ("kerberos-service-ticket-requested", _AUTH, ("start",), None),
    "4770": ("kerberos-service-ticket-renewed", _AUTH, ("start",), "success"),
    "4771": ("kerberos-preauth-failed", _AUTH, ("start",), "failure"),
    "4772": ("kerberos-authentication-ticket-failed", _AUTH, ("start",), "failure"),
    "4773": ("kerberos-service-ticket-failed", _AUTH, ("start",), "failure"),
    "4774": ("account-mapped-for-logon", _AUTH, ("info",), None),
    "4775": ("account-mapping-failed", _AUTH, ("info",), "failure"),
    "4776": ("credential-validated", _AUTH, ("start",), None),
    "4777": ("credential-validation-failed", _AUTH, ("start",), "failure"),
    "4778": ("session-reconnected", ("authentication", "session"), ("start",), "success"),
    "4779": ("session-disconnected", ("authentication", "session"), ("end",), "success"),
    "4781": ("renamed-user-account", _IAM, ("user", "change"), "success"),
    "4798": ("group-membership-enumerated", _IAM, ("user", "info"), "success"),
    "4799": ("user-member-enumerated", _IAM, ("group", "info"), "success"),
    "4800": ("workstation-locked", ("session",), ("info",), "success"),
    "4801": ("workstation-unlocked", ("session",), ("info",), "success"),
    "4964": ("logged-in-special", _IAM, ("admin",), "success"),
    "5140": ("network-share-object-accessed", ("network", "file"), ("connection", "access"), "success"),
    "5145": ("network-share-object-access-checked", ("network", "file"), ("connection", "access"), "success"),
    "1104": ("audit-log-full", ("process",), ("error",), "success"),
    "4649": ("kerberos-replay-detected", _AUTH, ("info",), "failure"),
    "4656": ("object-handle-requested", ("file",), ("access",), None),
    "4673": ("privileged-service-called", _IAM, ("admin",), None),
    "4674": ("privileged-operation", _IAM, ("admin",), None),
    "4703": ("token-right-adjusted", _IAM, ("user", "change"), "success"),
    "4741": ("added-computer-account", _IAM, ("creation", "admin"), "success"),
    "4742": ("changed-computer-account", _IAM, ("change", "admin"), "success"),
    "4743": ("deleted-computer-account", _IAM, ("deletion", "admin"), "success"),
    "4782": ("password-hash-accessed", _IAM, ("info",), "success"),
    "4794": ("restore-mode-password-set", _IAM, ("admin", "change"), None),
    "4817": ("object-auditing-changed", ("iam", "configuration"), ("admin", "change"), "success"),
    "4902": ("user-audit-policy-created", ("iam", "configuration"), ("admin", "creation"), "success"),
    "4907": ("object-auditing-changed", ("iam", "configuration"), ("admin", "change"), "success"),
    "4912": ("user-audit-policy-changed", ("iam", "configuration"), ("admin", "change"), "success"),
    "4946": ("firewall-rule-added", ("network", "configuration"), ("change",), "success"),
    "4947": ("firewall-rule-changed", ("network", "configuration"), ("change",), "success"),
    "4948": ("firewall-rule-deleted", ("network", "configuration"), ("change",), "success"),
    "5136": ("directory-object-changed", ("iam", "configuration"), ("change",), "success"),
    "5137": ("directory-object-created", ("iam", "configuration"), ("creation",), "success"),
    "5141": ("directory-object-deleted", ("iam", "configuration"), ("deletion",), "success"),
    "5376": ("credentials-backed-up", _IAM, ("info",), "success"),
    "5377": ("credentials-restored", _IAM, ("change",), "success"),
    "6416": ("external-device-recognized", ("host",), ("info",), "success"),
}
_REMOTE: Final = {
    "21": ("rdp-logon", ("authentication", "session"), ("start",), "success"),
    "22": ("rdp-shell-start", ("session",), ("start",), "success"),
    "23": ("rdp-logoff", ("session",), ("end",), "success"),
    "24": ("rdp-disconnected", ("session",), ("end",), "success"),
    "25": ("rdp-reconnected", ("authentication", "session"), ("start",), "success"),
    "39": ("rdp-disconnected", ("session",), ("end",), "success"),
    "40": ("rdp-disconnected", ("session",), ("end",), "success"),
    "1149": ("rdp-authenticated", ("authentication",), ("start",), "success"),
}
_SYSTEM: Final = {
    "104": ("event-log-cleared", ("iam", "configuration"), ("admin", "change"), "success"),
    "7045": ("service-installed", ("iam", "configuration"), ("admin", "change"), "success"),
    "1074": ("system-shutdown", ("host",), ("end",), "success"),
    "6005": ("eventlog-started", ("host",), ("start",), "success"),
    "6006": ("eventlog-stopped", ("host",), ("end",), "success"),
}
_TARGETED: Final = ("472", "473", "474", "475", "476", "478", "479")
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
        _REMOTE
        if "terminalservices" in channel or "terminalservices" in provider
        else _SYSTEM
        if channel == "system"
        else _SECURITY
    )
    if (
        table is _SECURITY
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


def _status(code: str, system: Data, data: Data) -> str:
    """Read success off the status (0x0), or off the audit keyword (0x8010... is a failure)."""
    status = data.get("Status") or data.get("TicketOptions" if code == "" else "Status", "")
    if status:
        return "success" if status.lower() in ("0x0", "0", "0x00000000") else "failure"
    keywords = system.get("keywords", "").lower()
    return "failure" if keywords.startswith("0x8010") or "failure" in keywords else "success"


def _who(code: str, data: Data, fields: Fields) -> None:
    """user is who acted; in a logon who logged on; user.target, group are what was changed."""
    target, subject = _account(data, "Target"), _account(data, "Subject")
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
    return {
        ours: data[prefix + name]
        for ours, alternatives in names.items()
        for name in reversed(alternatives)
        if data.get(prefix + name)
    }


def _plain(data: Data) -> Data:
    user = data.get("User") or data.get("Param1") or data.get("UserName") or data.get("AccountName", "")
    domain, marked, name = user.rpartition("\\")
    return ({"name": name} | ({"domain": domain} if marked else {})) if name else {}


def _put(fields: Fields, name: str, account: Data) -> None:
    for key, value in account.items():
        fields[f"{name}.{key}"] = value


def _where(data: Data, fields: Fields) -> None:
    """Say where from, and by which process."""
    peer = data.get("IpAddress") or data.get("ClientAddress") or data.get("Address") or data.get("Param3", "")
    if (peer and peer not in ("LOCAL", "::1")) or peer == "::1":
        source(fields, peer, data.get("IpPort"))
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
    if pid.startswith("0x") and len(pid) < 12:
        try:
            fields["process.pid"] = int(pid, 16)
        except ValueError:
            return
    else:
        number(fields, "process.pid", pid)

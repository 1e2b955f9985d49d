"""What an audit event means in ECS: its category, type and outcome, by system call or by record type."""

from __future__ import annotations

from typing import Final

from rules.event import Value

Fields = dict[str, Value]
Meaning = tuple[tuple[str, ...], tuple[str, ...]]  # event.category, event.type

_FILE: Final = ("file",)
_NETWORK: Final = ("network",)
_PROCESS: Final = ("process",)
_IAM: Final = ("iam",)
_AUTH: Final = ("authentication",)
_SYSCALLS: Final[tuple[tuple[Meaning, str], ...]] = (
    ((_FILE, ("creation",)), "creat mkdir mkdirat mknod mknodat mount symlink symlinkat link linkat"),
    (
        (_FILE, ("change",)),
        "fallocate truncate ftruncate write setxattr fsetxattr lsetxattr removexattr fremovexattr lremovexattr "
        "chmod fchmod fchmodat fchmodat2 chown fchown fchownat lchown rename renameat renameat2 "
        "utime utimes futimesat utimensat",
    ),
    ((_FILE, ("deletion",)), "unlink unlinkat rmdir umount umount2"),
    (
        (_FILE, ("access",)),
        "open openat openat2 readlink readlinkat read access faccessat faccessat2 fstatat newfstatat stat fstat lstat "
        "getxattr lgetxattr fgetxattr statfs fstatfs open_by_handle_at name_to_handle_at",
    ),
    ((("driver",), ("start",)), "init_module finit_module"),
    ((("driver",), ("end",)), "delete_module"),
    ((_PROCESS, ("start",)), "execve execveat fork vfork clone clone3"),
    ((_PROCESS, ("end",)), "kill tkill tgkill"),
    ((_NETWORK, ("connection", "start")), "connect accept accept4"),
    ((_NETWORK, ("start",)), "listen bind"),
    ((_NETWORK, ("connection", "info")), "recvfrom recvmsg recvmmsg sendto sendmsg sendmmsg"),
    (
        (_PROCESS, ("change",)),
        "setuid setfsuid setreuid setgid setfsgid setregid setresuid setresgid ptrace sched_setparam "
        "sched_setscheduler sched_setattr capset",
    ),
    ((("host",), ("change",)), "settimeofday clock_settime adjtimex clock_adjtime sethostname setdomainname"),
    ((("host",), ("end",)), "reboot"),
)
_RECORDS: Final[tuple[tuple[Meaning, str], ...]] = (
    ((_AUTH, ("start",)), "USER_LOGIN USER_AUTH LOGIN"),
    (
        (_AUTH, ("info",)),
        "USER_ACCT CRED_ACQ CRED_DISP CRED_REFR GRP_AUTH ANOM_LOGIN_FAILURES ANOM_LOGIN_TIME ANOM_LOGIN_SESSIONS "
        "ANOM_LOGIN_ACCT ANOM_LOGIN_LOCATION DAC_CHECK USER_ERR ANOM_MAX_DAC ANOM_ROOT_TRANS",
    ),
    ((_AUTH, ("end",)), "USER_LOGOUT"),
    ((("session",), ("start",)), "USER_START"),
    ((("session",), ("end",)), "USER_END"),
    ((_IAM, ("user", "creation")), "ADD_USER ANOM_ADD_ACCT"),
    ((_IAM, ("user", "deletion")), "DEL_USER ANOM_DEL_ACCT"),
    ((_IAM, ("group", "creation")), "ADD_GROUP"),
    ((_IAM, ("group", "deletion")), "DEL_GROUP"),
    (
        (_IAM, ("user", "change")),
        "USER_CHAUTHTOK USER_MGMT ACCT_LOCK ACCT_UNLOCK ROLE_ASSIGN ROLE_REMOVE ROLE_MODIFY CHUSER_ID ANOM_MOD_ACCT "
        "RESP_ACCT_LOCK RESP_ACCT_UNLOCK_TIMED RESP_ACCT_LOCK_TIMED RESP_ACCT_REMOTE USER_ROLE_CHANGE",
    ),
    ((_IAM, ("group", "change")), "GRP_MGMT GRP_CHAUTHTOK CHGRP_ID"),
    ((_PROCESS, ("start",)), "USER_CMD SERVICE_START EXECVE ANOM_EXEC ANOM_MK_EXEC"),
    ((_PROCESS, ("end",)), "SERVICE_STOP ANOM_ABEND"),
    (
        (_PROCESS, ("info",)),
        "TTY USER_TTY SECCOMP PROCTITLE SYSCALL CRYPTO_KEY_USER CRYPTO_SESSION CRYPTO_LOGIN CRYPTO_LOGOUT "
        "CRYPTO_TEST_USER CRYPTO_PARAM_CHANGE_USER CRYPTO_FAILURE_USER CRYPTO_REPLAY_USER CRYPTO_IKE_SA "
        "CRYPTO_IPSEC_SA",
    ),
    (
        (("process", "configuration"), ("change",)),
        "CONFIG_CHANGE FEATURE_CHANGE USYS_CONFIG MAC_CONFIG_CHANGE MAC_STATUS MAC_POLICY_LOAD "
        "DAEMON_CONFIG DAEMON_RECONFIG DAEMON_ROTATE BPF SOFTWARE_UPDATE USER_MAC_CONFIG_CHANGE LABEL_LEVEL_CHANGE "
        "USER_UNLABELED_EXPORT FS_RELABEL USER_MAC_POLICY_LOAD TRUSTED_APP",
    ),
    ((("process", "configuration"), ("start",)), "DAEMON_START DAEMON_RESUME"),
    ((("process", "configuration"), ("end",)), "DAEMON_END DAEMON_ABORT"),
    ((("host",), ("start",)), "SYSTEM_BOOT"),
    ((("host",), ("end",)), "SYSTEM_SHUTDOWN"),
    ((("host",), ("change",)), "SYSTEM_RUNLEVEL TIME_INJOFFSET TIME_ADJNTPVAL"),
    ((("host",), ("info",)), "VIRT_CONTROL VIRT_MACHINE_ID VIRT_RESOURCE USER_DEVICE"),
    ((("driver",), ("start",)), "KERN_MODULE"),
    (
        (_NETWORK, ("connection", "info")),
        "NETFILTER_CFG NETFILTER_PKT ANOM_PROMISCUOUS MAC_IPSEC_EVENT DAEMON_ACCEPT DAEMON_CLOSE",
    ),
    (
        (_FILE, ("info",)),
        "ANOM_LINK ANOM_CREAT FANOTIFY INTEGRITY_DATA INTEGRITY_METADATA INTEGRITY_STATUS INTEGRITY_HASH INTEGRITY_PCR "
        "INTEGRITY_RULE",
    ),
    (
        (("intrusion_detection",), ("info",)),
        "AVC USER_AVC SELINUX_ERR USER_SELINUX_ERR APPARMOR_DENIED APPARMOR_ALLOWED APPARMOR_AUDIT",
    ),
)


def _by_word(table: tuple[tuple[Meaning, str], ...]) -> dict[str, Meaning]:
    return {word: meaning for meaning, words in table for word in words.split()}


_OF_SYSCALL: Final = _by_word(_SYSCALLS)
_OF_RECORD: Final = _by_word(_RECORDS)
_OUTCOMES: Final = {
    "success": "success", "yes": "success", "1": "success",
    "failed": "failure", "fail": "failure", "no": "failure", "0": "failure", "failure": "failure",
}  # fmt: skip


def meaning(types: list[str], syscall: str, pairs: dict[str, str], fields: Fields) -> None:
    """Add category, type and outcome. A record that goes before its SYSCALL (CONFIG_CHANGE, AVC ...) decides."""
    special = next((t for t in types if t in _OF_RECORD and t not in ("SYSCALL", "PROCTITLE", "EXECVE")), None)
    if special is not None:
        found: Meaning | None = _OF_RECORD[special]
        fields["event.action"] = special.lower()
    elif syscall:
        found = _OF_SYSCALL.get(syscall, (_PROCESS, ("info",)))
        fields["event.action"] = syscall
    else:
        found = next((_OF_RECORD[t] for t in types if t in _OF_RECORD), None)
    if found is not None:
        fields["event.category"] = [*found[0]]
        fields["event.type"] = [*found[1]]
    outcome = _OUTCOMES.get(pairs.get("res") or pairs.get("success") or pairs.get("result") or "")
    if outcome is None and special in ("AVC", "USER_AVC"):
        outcome = (
            "failure"
            if "denied" in str(fields.get("message", ""))[:256] or pairs.get("apparmor") == "DENIED"
            else "success"
        )
    if special == "ANOM_LOGIN_FAILURES":  # res says that the record was made; what it tells of is failures
        outcome = "failure"
    if outcome is not None:
        fields["event.outcome"] = outcome
    _whom(special, pairs, fields)


def _whom(special: str | None, pairs: dict[str, str], fields: Fields) -> None:
    """Say which account or group was changed, by name or by number, and which unit came or went."""
    if special in _ON_ACCOUNTS and pairs.get("acct"):
        fields["user.target.name"] = pairs["acct"]
    if special in _ON_GROUPS and pairs.get("grp"):  # usermod -aG: acct is who, grp is where
        fields["group.name"] = pairs["grp"]
        if pairs.get("acct") and special != "GRP_AUTH":
            fields["user.target.name"] = pairs["acct"]
    number = pairs.get("suid") if special in _ON_SUID else pairs.get("id")
    if number and number.isdecimal():
        if special in _ON_ACCOUNTS or special in _ON_SUID:
            fields["user.target.id"] = number
        elif special in ("ADD_GROUP", "DEL_GROUP", "GRP_MGMT"):
            fields["group.id"] = number
    if special in ("SERVICE_START", "SERVICE_STOP") and pairs.get("unit"):
        fields["service.name"] = pairs["unit"]


_ON_SUID: Final = frozenset({"ANOM_LOGIN_FAILURES", "RESP_ACCT_LOCK", "RESP_ACCT_LOCK_TIMED", "RESP_ACCT_UNLOCK_TIMED"})
_ON_ACCOUNTS: Final = frozenset({
    "ADD_USER", "DEL_USER", "USER_MGMT", "USER_CHAUTHTOK", "ACCT_LOCK", "ACCT_UNLOCK", "ROLE_ASSIGN", "ROLE_REMOVE",
    "ROLE_MODIFY", "CHUSER_ID",
})  # fmt: skip
_ON_GROUPS: Final = frozenset({"GRP_MGMT", "USER_MGMT", "CHGRP_ID", "GRP_CHAUTHTOK", "GRP_AUTH"})

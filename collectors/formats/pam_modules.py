"""What PAM modules other than pam_unix say in words of their own, and what pam_unix says beside sessions and failures.

Sources: Linux-PAM 1.1 to 1.6 (pam_unix, pam_faillock, pam_tally2, pam_access, pam_succeed_if, pam_wheel, pam_securetty,
pam_listfile, pam_limits, pam_lastlog, pam_rhosts, pam_userdb, pam_warn, pam_shells), sssd's pam_sss, pam_krb5 (Red
Hat's and Allbery's), pam_winbind, pam_ldap (PADL's and nslcd's), google-authenticator, Duo, pam_radius, pam_ssh_agent_auth.
"""

# ruff: noqa: E501  a row is a message: it is read more easily whole

from __future__ import annotations

from typing import Final

from collectors.formats.sayings import AUTH, Fields, Saying, reader

_Q: Final = r"[`'\"]"
_FAILURE: Final = "authentication_failure"
_DENIED: Final = "access_denied"
_LOCKED: Final = "account_locked"


def _auth(start: str, rest: str, action: str = _FAILURE, outcome: str = "failure") -> Saying:
    return Saying(start, rest, AUTH, action, outcome)


def _iam(start: str, rest: str, action: str, outcome: str) -> Saying:
    return Saying(start, rest, "iam", action, outcome, "user change")


_UNIX: Final = (
    _auth("check pass; user unknown", ".*"),
    _auth("bad username ", r"\[(?P<user>.*)\]"),
    _auth("bad username", ".*"),
    _auth("unrecognized", ".*"),
    _auth("auth could not identify password for ", r"\[(?P<user>.*)\]"),
    _auth("could not identify user ", r"\(from (?:getpwnam\((?P<user>.*)\)|uid=(?P<uid>\d+))\)"),
    _auth("conversation failed", ""),
    _auth("user ", r"\[(?P<user>.*)\] has blank password; authenticated without it", "blank_password", "success"),
    _auth("account ", r"(?P<user>\S+) has (?P<why>(?:password )?(?:expired|changed in future).*)", "account_expired"),
    _auth("expired password for user ", r"(?P<user>.*) \((?P<why>[^()]*)\)", "password_expired"),
    _auth("password for user ", r"(?P<user>\S+) (?P<why>will expire.*)", "password_expires", "success"),
    _iam("password changed for ", r"(?P<target>.*)", "password-changed", "success"),
    _iam("Password for ", r"(?P<target>.*) was changed", "password-changed", "success"),
    _iam("user ", r"[`'\"](?P<target>.*)['\"] does not exist in /etc/passwd.*", "password-changed", "failure"),
    _iam("new password not acceptable", ".*", "password-refused", "failure"),
    _iam("user password changed by another process", "", "password-refused", "failure"),
    _iam("pam_get_authtok_verify returned error: ", r"(?P<why>.*)", "password-refused", "failure"),
    _iam("password change aborted", ".*", "password-refused", "failure"),
)
_LOCKS: Final = (
    _auth("Consecutive login failures for user ", r"(?P<user>.*) account (?P<why>temporarily|permanently) locked", _LOCKED),
    _auth("Account ", r"(?P<user>.*) (?P<why>(?:temporarily |permanently )?locked due to \d+ failed logins)", _LOCKED),
    _auth("Too many failed login attempts", ".*", _LOCKED),
    _auth("user ", r"(?P<user>\S+) \((?P<uid>\d{1,10})\) (?P<why>(?:has been )?(?:time-)?(?:tally \d+, deny \d+|locked).*)", _LOCKED),
    _auth("user ", r"(?P<user>\S+) \((?P<uid>\d{1,10})\) (?P<why>has time limit .*)", _LOCKED),
    _auth("pam_get_uid; no such user", ""),
    _auth("user unknown", ".*"),
    _auth("User unknown", ".*"),
    _auth("user ", r"(?P<user>\S+) (?P<why>inactive for \d+ days - denied)", _DENIED),
)  # fmt: skip
_ACCESS: Final = (
    _auth("access denied for user ", rf"{_Q}(?P<user>.*){_Q} from {_Q}(?P<host>[^`'\"]*){_Q}", _DENIED),
    _auth("access denied: ", r"(?P<why>tty .* is not secure.*)", _DENIED),
    _auth("Access denied to ", r"'(?P<user>.*)' for '(?P<whom>[^']*)'", _DENIED),
    _auth("Access granted to ", r"'(?P<user>.*)' for '(?P<whom>[^']*)'", "access_granted", "success"),
    _auth("Refused user ", r"(?P<user>.*) for service (?P<service>\S+)", _DENIED),
    _auth("requirement ", r"(?P<why>\"[^\"]*\") not met by user \"(?P<user>.*)\"", "requirement_not_met"),
    _auth("requirement ", r"(?P<why>\"[^\"]*\") was met by user \"(?P<user>.*)\"", "requirement_met", "unknown"),
    _auth("error retrieving information about user ", r"(?P<user>.*)"),
    _auth("Too many logins ", r"(?P<why>\(max \d+\)) for (?P<user>.*)", _DENIED),
    _auth("User has an invalid shell ", r"(?P<why>.*)", _DENIED),
    _auth("root access allowed", "", "access_granted", "success"),
    _auth("root check succeeded", "", "access_granted", "unknown"),
    _auth("root check failed", "", _DENIED, "unknown"),
    _auth("allowed access to ", r"(?P<domain>.*)@(?P<host>[^\s@]+) as (?P<user>\S+)", "access_granted", "success"),
    _auth("denied access to ", r"(?P<domain>.*)@(?P<host>[^\s@]+) as (?P<user>\S+?)(?:: (?P<why>.*))?", _DENIED),
    _auth("cannot determine username", ""),
    Saying("Failed to create session: ", r"(?P<why>.*)", "session", "session-refused", "failure"),
)
_DIRECTORIES: Final = (
    _auth("received for user ", r"(?P<user>.*): (?P<why>0 \([^()]*\))", "authentication_success", "success"),
    _auth("received for user ", r"(?P<user>.*): (?P<why>\d{1,9} \([^()]*\))"),
    _auth("Access denied for user ", r"(?P<user>.*): (?P<why>\d{1,9} \([^()]*\))", _DENIED),
    _auth("user ", rf"{_Q}(?P<user>.*){_Q} granted access", "access_granted", "success"),
    _auth("user ", rf"{_Q}(?P<user>.*){_Q} OK", "access_granted", "success"),
    _auth("user ", rf"{_Q}(?P<user>.*){_Q} denied access(?: \((?P<why>.*)\))?", _DENIED),
    _auth("user ", rf"{_Q}(?P<user>.*){_Q} (?P<why>account (?:expired|locked|disabled).*|password expired.*|(?:not found|unknown).*)"),
    _auth("user ", r"(?P<user>\S+) account (?P<why>password is expired|is expired|is locked).*", "account_expired"),
    _auth("user ", r"(?P<user>.*) authenticated as (?P<principal>\S+)", "authentication_success", "success"),
    _auth("request wbcLogonUser failed", r"(?:: (?P<why>.*))?"),
    _auth("internal module error ", r"\([^']*user = '(?P<user>.*)'\)"),
    _auth("authentication fails for ", r"'(?P<user>.*)' \((?P<principal>[^()]*)\): (?P<why>.*)"),
    _auth("authentication succeeds for ", r"'(?P<user>.*)' \((?P<principal>[^()]*)\)", "authentication_success", "success"),
    _auth("account checks fail for ", r"'(?P<user>.*)': (?P<why>.*)", _DENIED),
    _auth("failed authorization check; ", r"(?P<why>.*)", _DENIED),
    _auth("Authentication failure; ", r"user=(?P<user>.*)"),
    _auth("Authentication success; ", r"user=(?P<user>.*)", "authentication_success", "success"),
    _auth("error trying to bind as user ", r"\"(?P<principal>.*)\" \((?P<why>[^()]*)\)"),
    _auth("authentication failed", r"(?: for user (?P<user>\S+))?.*"),
    _auth("authentication succeeded", ".*", "authentication_success", "success"),
    _auth("auth failed: ", r"(?P<why>.*)"),
)  # fmt: skip
_SECOND: Final = (
    _auth("Invalid verification code", r"(?: for (?P<user>.*))?"),
    _auth("Accepted google_authenticator for ", r"(?P<user>.*)", "second_factor", "success"),
    _auth("Successful Duo login for ", r"'(?P<user>.*)'(?: from (?P<host>\S+))?", "second_factor", "success"),
    _auth("Skipped Duo login for ", r"'(?P<user>.*)'(?: from (?P<host>[^\s:]+))?(?:: (?P<why>.*))?", "second_factor_skipped", "success"),
    _auth("Failsafe Duo login for ", r"'(?P<user>.*)'(?: from (?P<host>[^\s:]+))?(?:: (?P<why>.*))?", "second_factor_skipped", "success"),
    _auth("Failed Duo login for ", r"'(?P<user>.*)'(?: from (?P<host>[^\s:]+))?(?:: (?P<why>.*))?", "second_factor"),
    _auth("Denied Duo login for ", r"'(?P<user>.*)'(?: from (?P<host>[^\s:]+))?(?:: (?P<why>.*))?", "second_factor"),
    _auth("Aborted Duo login for ", r"'(?P<user>.*)'(?: from (?P<host>[^\s:]+))?(?:: (?P<why>.*))?", "second_factor"),
    _auth("Error in Duo login for ", r"'(?P<user>.*)'(?: from (?P<host>[^\s:]+))?(?:: (?P<why>.*))?", "second_factor"),
    _auth("Authenticated: ", r"`(?P<user>.*)' as `(?P<whom>[^']*)' using (?P<key>.*)", "authentication_success", "success"),
)  # fmt: skip
_read: Final = reader("pam", (*_UNIX, *_LOCKS, *_ACCESS, *_DIRECTORIES, *_SECOND))


def read(body: str, fields: Fields) -> Fields:
    """Add what a module's words mean to the fields of its name, and return them."""
    return {**fields, **(_read(body.rstrip(" ")) or {})}

"""SSSD and its children, and Kerberos: verdicts on passwords that a directory keeps.

Sources: sssd 1.9 to 2.10 (krb5_child.c, ldap_child.c, responder and backend start-up), MIT krb5's error table.
"""

from __future__ import annotations

from typing import Final

from collectors.formats.sayings import AUTH, Saying, reader

_PRINCIPAL: Final = r"'(?P<user>[^'@]*)(?:@[^']*)?'"
_FAILED: Final = "authentication_failure"
read: Final = reader(
    "sssd",
    (
        Saying("Preauthentication failed", r"\.?", AUTH, _FAILED, "failure"),
        Saying("Decrypt integrity check failed", r"\.?", AUTH, _FAILED, "failure"),
        Saying("Client ", _PRINCIPAL + " (?P<why>not found in Kerberos database)", AUTH, _FAILED, "failure"),
        Saying("Client not found in Kerberos database", "", AUTH, _FAILED, "failure"),
        Saying("Client's credentials have been revoked", "", AUTH, "account_locked", "failure"),
        Saying("Clients credentials have been revoked", "", AUTH, "account_locked", "failure"),
        Saying("Client's entry in database has expired", "", AUTH, "account_expired", "failure"),
        Saying("Password has expired", "", AUTH, "password_expired", "failure"),
        Saying("Password change rejected", ".*", "iam", "password-refused", "failure", "user change"),
        Saying("Cannot contact any KDC ", r"(?P<why>.*)", AUTH, "directory_unreachable", "failure"),
        Saying("Cannot find KDC ", r"(?P<why>.*)", AUTH, "directory_unreachable", "failure"),
        Saying("Failed to initialize credentials ", r"(?P<why>.*)", AUTH, "directory_unreachable", "failure"),
        Saying("Backend is offline", "", AUTH, "directory_unreachable", "failure"),
        Saying("Backend is online", "", AUTH, "directory_reachable", "success"),
        Saying("Starting up", "", "process", "sssd_started", types="start"),
        Saying("Shutting down", ".*", "process", "sssd_stopped", types="end"),
        Saying("Permission denied", "", AUTH, _FAILED, "failure"),
    ),
)  # fmt: skip

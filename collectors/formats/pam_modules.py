"""What PAM modules other than pam_unix say in words of their own: (what it begins with, what it means, who).

Sources: sssd's pam_sss.c, pam_faillock.c, pam_krb5, google-authenticator-libpam, pam_winbind.c, pam_unix's account.
"""

from __future__ import annotations

import re
from typing import Final

from rules.event import Value

Fields = dict[str, Value]
_SAYINGS: Final = tuple(
    (start, re.compile(pattern, re.DOTALL), action, outcome)
    for start, pattern, action, outcome in (
        ("Access denied for user ", r"Access denied for user (.*): \d{1,9} \([^()]*\)$", "access_denied", "failure"),
        ("Invalid verification code", r"Invalid verification code(?: for (.*))?$", "authentication_failure", "failure"),
        ("Accepted google_authenticator", r"Accepted google_authenticator for (.*)$", "second_factor", "success"),
        ("Too many failed login attempts", r"Too many failed.*", "account_locked", "failure"),
        ("user ", r"user (.*) authenticated as \S+$", "authentication_success", "success"),
        ("user [", r"user \[(.*)\] has blank password; authenticated without it$", "blank_password", "success"),
        ("expired password for user ", r"expired password for user (.*) \([^()]*\)$", "password_expired", "failure"),
        ("User unknown", r"User unknown$", "authentication_failure", "failure"),
        ("conversation failed", r"conversation failed$", "authentication_failure", "failure"),
        ("request wbcLogonUser failed", r"request wbcLogonUser failed", "authentication_failure", "failure"),
        ("root access allowed", r"root access allowed$", "access_granted", "success"),
    )
)


def read(body: str, fields: Fields) -> Fields:
    """Add what a module's words mean to the fields of its name, and return them."""
    for start, pattern, action, outcome in _SAYINGS:
        found = pattern.match(body) if body.startswith(start) else None
        if found is not None:
            fields.update(_said(action, outcome))
            if pattern.groups and found[1]:
                fields["user.name"] = found[1]
            return fields
    return fields


def _said(action: str, outcome: str) -> Fields:
    return {
        "event.action": action,
        "event.outcome": outcome,
        "event.category": ["authentication"],
        "event.type": ["info"],
    }

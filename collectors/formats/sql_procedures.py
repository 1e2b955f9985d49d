"""SQL Server's own procedures that change accounts: which of their arguments is the account, and none that is a secret.

The places and names are those of Microsoft's documentation (sp_password @old, @new, @loginame; sp_addlogin @loginame,
@passwd ...).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from collectors.formats.sql_lexer import Token, unquoted

# The account's place, from 0, and its name.
_ACCOUNTS: Final = {
    "SP_ADDROLEMEMBER": (1, "@MEMBERNAME"), "SP_DROPROLEMEMBER": (1, "@MEMBERNAME"),
    "SP_ADDSRVROLEMEMBER": (0, "@LOGINAME"), "SP_DROPSRVROLEMEMBER": (0, "@LOGINAME"),
    "SP_ADDLOGIN": (0, "@LOGINAME"), "SP_DROPLOGIN": (0, "@LOGINAME"), "SP_GRANTLOGIN": (0, "@LOGINAME"),
    "SP_REVOKELOGIN": (0, "@LOGINAME"), "SP_DENYLOGIN": (0, "@LOGINAME"), "SP_GRANTDBACCESS": (0, "@LOGINAME"),
    "SP_REVOKEDBACCESS": (0, "@NAME_IN_DB"), "SP_ADDUSER": (0, "@LOGINAME"), "SP_DROPUSER": (0, "@NAME_IN_DB"),
    "SP_ADDROLE": (0, "@ROLENAME"), "SP_DROPROLE": (0, "@ROLENAME"), "SP_ADDAPPROLE": (0, "@ROLENAME"),
    "SP_DROPAPPROLE": (0, "@ROLENAME"), "SP_APPROLEPASSWORD": (0, "@ROLENAME"), "SP_PASSWORD": (2, "@LOGINAME"),
    "SP_CHANGEDBOWNER": (0, "@LOGINAME"), "SP_CHANGEOBJECTOWNER": (1, "@NEWOWNER"),
    "SP_CHANGE_USERS_LOGIN": (1, "@USERNAMEPATTERN"), "SP_ADDLINKEDSRVLOGIN": (2, "@LOCALLOGIN"),
}  # fmt: skip
ACCOUNT_PROCEDURES: Final = frozenset(_ACCOUNTS)


def account_of(procedure: str, tokens: Sequence[Token]) -> str | None:
    """Return the account that a procedure changes; `tokens` begin with the procedure's name. None: it names none."""
    place, wanted = _ACCOUNTS[procedure]
    at = 1
    while at + 1 < len(tokens) and tokens[at].text == ".":  # master..sp_addlogin, sys.sp_addlogin
        at += 1 + (tokens[at + 1].text != ".")
    for number in range(len(tokens)):
        named = [token.text for token in tokens[at + 1 : at + 2]] == ["="]
        if at < len(tokens) and (tokens[at].text == wanted if named else number == place):
            return _text(tokens[at + 2 * named]) if at + 2 * named < len(tokens) else None
        at += 2 * named + 1
        if [token.text for token in tokens[at : at + 1]] != [","]:
            return None
        at += 1
    return None


def _text(token: Token) -> str | None:
    if token.kind == "s":
        return token.raw.lstrip("Nn")[1:].removesuffix("'").replace("''", "'") or None
    if token.kind == "q" or (token.kind == "w" and token.text != "NULL" and token.text[:1] != "@"):
        return unquoted(token) or None
    return None

"""What attackers may write, made safe for the place where it is shown. Pure, total, linear."""

from __future__ import annotations

import re
import shlex
from typing import Final

_SCHEME: Final = re.compile(r"(?i)\b([a-z][a-z0-9+.-]{0,20}):(?=//)|\bwww\.(?=[a-z0-9])|\b(?:mailto|javascript):")


def line(text: str, limit: int = 200) -> str:
    """Return the text on one line, cut at `limit` characters.

    What is not printable is shown as an escape: controls (terminal escapes begin with one), characters that turn or
    hide text, separators, surrogates, which no encoding takes.
    """
    short = text[:limit]
    safe = short if short.isprintable() else "".join(one if one.isprintable() else _shown(one) for one in short)
    return safe if len(text) <= limit else safe + "…"


def _shown(sign: str) -> str:
    number = ord(sign)
    if sign.isspace():
        return " "
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"


def inert(text: str, limit: int = 200) -> str:
    """Return one line in which no client finds a link: `https[:]//`, `www[.]`."""
    return _SCHEME.sub(_defanged, line(text, limit))


def _defanged(found: re.Match[str]) -> str:
    return found[0][:-1] + f"[{found[0][-1]}]"


def slack(text: str) -> str:
    """Return text that Slack shows literally where it reads mrkdwn (docs: escaping text): no mention, no link."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def term(field: str, value: str) -> str:
    """Return `field:value` of the search language, the value quoted so that nothing in it is read as syntax."""
    plain = re.fullmatch(r"[A-Za-z0-9_./@-]+", value) is not None and value not in ("AND", "OR", "NOT")
    quoted = value.replace("\\", "\\\\").replace('"', '\\"')
    return f"{field}:{value}" if plain else f'{field}:"{quoted}"'


def shell(*words: str) -> str:
    """Return a command line that a person may paste: every word quoted for a POSIX shell."""
    return shlex.join(words)

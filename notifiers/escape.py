"""What attackers may write, made safe for the place where it is shown. Pure, total, linear."""

from __future__ import annotations

import re
import shlex
from typing import Final

# C0 and C1 controls (terminal escapes begin with one), line and paragraph separators, and the characters
# that turn or hide text: bidi embeddings, overrides and isolates, zero-width signs, the byte order mark,
# Unicode's tag block. A surrogate cannot be encoded and would stop a send.
_UNSAFE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_SCHEME: Final = re.compile(r"(?i)\b([a-z][a-z0-9+.-]{0,20}):(?=//)|\bwww\.(?=[a-z0-9])|\b(?:mailto|javascript):")


def line(text: str, limit: int = 200) -> str:
    """Return the text on one line, with what cannot be seen as escapes, cut at `limit` characters."""
    short = text[: limit + 1]
    safe = _UNSAFE.sub(_shown, short)
    return safe if len(text) <= limit else safe[:limit] + "…"


def _shown(found: re.Match[str]) -> str:
    sign = ord(found[0])
    if sign in (0x09, 0x0A, 0x0D, 0x2028, 0x2029):
        return " "
    return f"\\x{sign:02x}" if sign < 0x100 else f"\\u{sign:04x}"


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

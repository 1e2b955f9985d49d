"""Where someone came from: an address or a name, as ECS `source.*`."""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import Final

from rules.event import Value

_OCTET: Final = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
IPV4: Final = (
    rf"{_OCTET}\.{_OCTET}\.{_OCTET}\.{_OCTET}"  # for a pattern that takes nothing but an address in its usual form
)
_IPV4: Final = re.compile(IPV4, re.ASCII)


@lru_cache(maxsize=4096)
def ip(text: str) -> str | None:
    """Return the address in `text` in its usual form (::ffff:1.2.3.4 as 1.2.3.4, no scope id), None if it is none."""
    bare, _, _scope = text.partition("%")
    try:
        found = ipaddress.ip_address(bare)
    except ValueError:
        return None
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(found)


def source(fields: dict[str, Value], host: str, port: str | None = None) -> None:
    """Add `source.ip`, or `source.address` and `source.domain` where it is a name, and `source.port`.

    `UNKNOWN` is OpenSSH's word for a peer that is gone before it was asked for its address; its port is none.
    """
    if host == "UNKNOWN":
        return
    found = host if _IPV4.fullmatch(host) else ip(host)
    if found is not None:
        fields["source.ip"] = found
    elif host:
        fields["source.address"] = host
        fields["source.domain"] = host
    if port:
        number(fields, "source.port", port)


def destination(fields: dict[str, Value], host: str, port: str | None = None) -> None:
    """Add where to: `destination.address`, `destination.ip` too where it is an address, and `destination.port`."""
    fields["destination.address"] = host
    if (found := ip(host)) is not None:
        fields["destination.ip"] = found
    if port:
        number(fields, "destination.port", port)


def number(fields: dict[str, Value], name: str, text: str) -> None:
    """Add a whole number if `text` is one that fits (an attacker may write a thousand digits, or digits of Thai)."""
    if len(text) <= 18 and text.isdecimal() and text.isascii():
        fields[name] = int(text)

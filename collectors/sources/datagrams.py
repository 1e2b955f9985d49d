"""Syslog over UDP (RFC 5426): a message a datagram, and what the kernel dropped counted from the socket."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

from rules.event import Value

BUFFER: Final = 8 * 1024 * 1024  # of the kernel: what comes while the journal is being synced waits there
MOST: Final = 4 * 1024 * 1024  # bytes taken in one read, whatever the number of records
_SO_RCVBUFFORCE: Final = 33
_SO_MEMINFO: Final = 55  # linux/sock_diag.h: nine 32-bit numbers, the last of them the drops
_DROPS: Final = 8


@dataclass(slots=True)
class Received:
    """What one look at the sockets gave."""

    messages: list[tuple[bytes, dict[str, Value]]] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    dropped: int = 0  # messages that the kernel had no room for
    more: bool = False  # not all that was there has been taken


class Receiver(Protocol):
    """A bound socket, and those accepted from it."""

    def receive(self, now: datetime, limit: int) -> Received: ...
    def address(self) -> tuple[str, int]: ...
    def close(self) -> None: ...


def bound(kind: socket.SocketKind, host: str, port: int) -> socket.socket:
    """Return a non-blocking socket on the address; `::` takes IPv4 too. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=kind, flags=socket.AI_PASSIVE)
    family, _, _, _, address = found[0]
    made = socket.socket(family, kind | socket.SOCK_CLOEXEC)
    try:
        if kind == socket.SOCK_STREAM:  # not for UDP, where it would let another program share the port
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        made.setblocking(False)
        made.bind(address)
    except OSError:
        made.close()
        raise
    return made


def peer_name(address: Sequence[object]) -> str:
    """Return the sender's address without its port, which says nothing; IPv4 in IPv6 as IPv4."""
    return str(address[0]).removeprefix("::ffff:")


def trimmed(raw: bytes) -> bytes:
    """Return a message without the line end that many senders give it even where its length is told (rsyslog's own
    templates end so)."""
    return raw.rstrip(b"\r\n\0")


class Datagrams:
    """A UDP socket. What it cannot hold is lost, as UDP has it, and counted."""

    def __init__(self, host: str, port: int) -> None:
        self._socket = bound(socket.SOCK_DGRAM, host, port)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)  # as far as net.core.rmem_max lets it
        with contextlib.suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, BUFFER)  # root's, beyond that
        self._dropped = self._drops()

    def receive(self, now: datetime, limit: int) -> Received:
        got, size = Received(more=True), 0
        while len(got.messages) < limit and size < MOST:
            try:
                data, peer = self._socket.recvfrom(65535)
            except BlockingIOError:
                got.more = False
                break
            except OSError as error:  # of the network, and for a while
                got.more = False
                got.troubles.append(f"cannot be read now: {error.strerror or error}")
                break
            size += len(data)
            raw = trimmed(data)
            if raw:
                got.messages.append((raw, {"log.source.address": peer_name(peer)}))
        drops = self._drops()
        got.dropped, self._dropped = (drops - self._dropped) % 2**32, drops
        return got

    def address(self) -> tuple[str, int]:
        host, port, *_ = self._socket.getsockname()
        return host, port

    def close(self) -> None:
        self._socket.close()

    def _drops(self) -> int:
        """Return how many datagrams found no room since the socket was made; 0 where the kernel does not tell."""
        try:
            told = self._socket.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 36)
        except OSError:
            return 0
        return struct.unpack("9I", told)[_DROPS] if len(told) == 36 else 0

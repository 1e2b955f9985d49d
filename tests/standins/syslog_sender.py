"""A device that sends syslog over UDP, TCP or TLS, from a thread of its own as a device does."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Sequence
from pathlib import Path

from tests.standins.certificates import Pair


class Sender:
    """Sends what it is given, each time over a connection of its own."""

    def __init__(self, scheme: str, port: int, ca: Path, own: Pair) -> None:
        self._scheme, self._address = scheme, ("127.0.0.1", port)
        self._context = ssl.create_default_context(cafile=ca)
        self._context.load_cert_chain(own.cert, own.key)
        self._threads: list[threading.Thread] = []

    def send(self, messages: Sequence[bytes]) -> None:
        """Return at once; the messages are on their way, counted (RFC 6587) where there is a stream."""
        thread = threading.Thread(target=self._try, args=(messages,))
        self._threads.append(thread)
        thread.start()

    def _try(self, messages: Sequence[bytes]) -> None:
        with contextlib.suppress(OSError):  # the listener is closed: plain syslog has no way to know
            self._send(messages)

    def _send(self, messages: Sequence[bytes]) -> None:
        if self._scheme == "udp":
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
                for message in messages:
                    one.sendto(message, self._address)
            return
        data = b"".join(b"%d %s" % (len(message), message) for message in messages)
        with socket.create_connection(self._address, timeout=20) as plain:
            if self._scheme == "tcp":
                plain.sendall(data)
                return
            with self._context.wrap_socket(plain, server_hostname="log.example.org") as made:
                made.sendall(data)

    def close(self) -> None:
        for thread in self._threads:
            thread.join()

"""Server: HTTP for the console, each connection in a thread, each request answered by the role's one thread.

Slack waits three seconds for an answer. A request that was not taken within PATIENCE is given up, and will not be
acted on later.
"""

from __future__ import annotations

import logging
import socket
import threading
import urllib.error
import urllib.request
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Empty, SimpleQueue
from typing import Any, Final
from urllib.parse import urlsplit

from pipeline.console import Reply, Request, Response
from pipeline.console.pages import HEADERS, told

PATIENCE: Final = 2.5  # seconds
_SLOW: Final = 5.0  # seconds that a connection may take for anything
_LONG: Final = 15.0  # seconds that it may take altogether
_LONGEST: Final = 512 * 1024  # bytes of a body
_MOST: Final = 64  # connections at a time
_log = logging.getLogger("tocsin")


class Job:
    """A request on its way through the role's thread."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._taken = False
        self._response: Response | None = None

    def take(self) -> bool:
        """Return whether somebody still waits for the answer; from now on they wait until it comes."""
        with self._lock:
            self._taken = not self._ended.is_set()
            return self._taken

    def answer(self, response: Response) -> None:
        self._response = response
        self._ended.set()

    def wait(self, patience: float) -> Response:
        if not self._ended.wait(patience):
            with self._lock:
                if not self._taken:
                    self._ended.set()
                    return told(503, "Not now", "Tocsin could not be reached in time. Nothing was done: try again.")
            self._ended.wait(patience)
        return self._response or told(503, "Not known", "It took too long to say whether this was done: look again.")


class Server:
    """Listens from the start until `close`. `take` gives the next request to whoever answers."""

    def __init__(self, host: str, port: int, *, patience: float = PATIENCE) -> None:
        self._jobs: SimpleQueue[Job] = SimpleQueue()
        self._http = _Http((host, port), self._jobs, patience)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.1,), name="http", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._http.server_address[1])

    def take(self, wait: float) -> Job | None:
        """Return the next request that somebody waits for, or None when none came within `wait` seconds."""
        try:
            job = self._jobs.get(timeout=wait) if wait else self._jobs.get_nowait()
        except Empty:
            return None
        return job if job.take() else None

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], jobs: SimpleQueue[Job], patience: float) -> None:
        super().__init__(address, _Handler)
        self.jobs, self.patience = jobs, patience
        self.slots = threading.BoundedSemaphore(_MOST)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self.slots.acquire(blocking=False):
            self.shutdown_request(request)  # whoever holds so many open would be served before everybody else
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        # A time-out between two bytes alone would let a drop every few seconds hold a connection for ever.
        limit = threading.Timer(_LONG, _hang_up, (request,))
        limit.daemon = True
        limit.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            limit.cancel()
            self.slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        _log.debug("connection failed", exc_info=True, extra={"role": "console"})


def _hang_up(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    server: _Http
    timeout = _SLOW
    server_version = "Tocsin"
    sys_version = ""

    def do_GET(self) -> None:
        self._serve(b"")

    def do_HEAD(self) -> None:
        self._serve(b"")

    def do_POST(self) -> None:
        stated = self.headers.get("Content-Length", "")
        if not (stated.isascii() and stated.isdigit()):
            self._send(told(411, "Not like this", "A request states how long it is."))
        elif int(stated) > _LONGEST:
            self._send(told(413, "Too long", "Nothing that Tocsin answers is so long."))
        else:
            self._serve(self.rfile.read(int(stated)))

    def _serve(self, body: bytes) -> None:
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        job = Job(Request(self.command, parts.path, parts.query, headers, body))
        self.server.jobs.put(job)
        response = job.wait(self.server.patience)
        self._send(response)
        if response.reply is not None:
            _post(response.reply)

    def _send(self, response: Response) -> None:
        body = response.body.encode("utf-8", "backslashreplace")
        self.close_connection = True
        self.send_response(response.status)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", f"{response.kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a link's token stands in the request line. What was commanded is in the stream."""


def _post(reply: Reply) -> None:
    request = urllib.request.Request(reply.url, reply.body, {"Content-Type": "application/json"})
    with suppress(urllib.error.URLError, OSError, ValueError), urllib.request.urlopen(request, timeout=_SLOW):
        return
    _log.warning("Slack did not take an answer", extra={"role": "console"})

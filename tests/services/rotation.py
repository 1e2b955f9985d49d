"""A real rsyslogd that writes a file, and a real logrotate that rotates it, both with a configuration of their own."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path

from tests.services.process import CannotServe, Process, run

_RSYSLOG = """
global(workDirectory="{folder}" processInternalMessages="off")
module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket="{folder}/socket" RateLimit.Interval="0")
action(type="omfile" file="{folder}/app.log" template="RSYSLOG_FileFormat" asyncWriting="off" flushOnTXEnd="on"
       fileCreateMode="0644")
"""
_LOGROTATE = """
{folder}/app.log {{
    rotate 50
    size 1
    missingok
    {options}
    {after}
}}
"""
_HUP = """postrotate
        kill -HUP {pid}
    endscript"""


class Syslog:
    """rsyslogd with a socket of its own and one file, `log`."""

    def __init__(self, folder: Path) -> None:
        absent = [p for p in ("/usr/sbin/rsyslogd", "/usr/sbin/logrotate") if not Path(p).exists()]
        if absent:
            raise CannotServe(f"needs {', '.join(absent)}: apt-get install rsyslog logrotate")
        self._folder = folder
        self.log = folder / "app.log"
        conf = folder / "rsyslog.conf"
        conf.write_text(_RSYSLOG.format(folder=folder), "ascii")
        command = ["/usr/sbin/rsyslogd", "-n", "-f", str(conf), "-i", str(folder / "rsyslog.pid")]
        self._process = Process(command, folder / "rsyslog.out")
        self._process.wait_until((folder / "socket").exists, "rsyslog")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.connect(str(folder / "socket"))

    def say(self, text: str) -> None:
        """Log one line; waits where rsyslog does not keep up."""
        self._socket.send(f"<13>app[7]: {text}".encode())

    def wait_for(self, text: str, limit: float = 20.0) -> None:
        """Return once the text is the last line that was written."""
        self._process.wait_until(lambda: self._written(text), f"{text!r} in the log", limit)

    def _written(self, text: str) -> bool:
        return self.log.exists() and f" {text}\n".encode() in self.log.read_bytes()

    def rotate(self, *options: str) -> None:
        """Rotate now. Without copytruncate rsyslog is told to open its file anew, as Debian's own script does."""
        after = "" if "copytruncate" in options else _HUP.format(pid=self._process.pid)
        conf = self._folder / "logrotate.conf"
        conf.write_text(_LOGROTATE.format(folder=self._folder, options="\n    ".join(options), after=after), "ascii")
        conf.chmod(0o644)
        run(["/usr/sbin/logrotate", "-f", "-s", str(self._folder / "logrotate.state"), str(conf)])

    def stop(self) -> None:
        self._socket.close()
        self._process.stop()


def until(answers: Callable[[], bool], limit: float = 30.0) -> None:
    """Return as soon as it holds. Raises TimeoutError."""
    deadline = time.monotonic() + limit
    while not answers():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.02)

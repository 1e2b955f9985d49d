"""A real rsyslog as the device: it sends over TCP and TLS what it is given, and waits while nobody listens."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from collectors.sources import Record
from collectors.sources.syslog_listener import Listen, SyslogSource
from collectors.sources.tls_server import Tls
from tests.conftest import absent
from tests.services.process import CannotServe, Process, free_port
from tests.standins.certificates import Authority

pytestmark = pytest.mark.server
RSYSLOGD = Path("/usr/sbin/rsyslogd")
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
COUNT = 2000
_CONFIG = """
global(workDirectory="{folder}" {tls})
module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket="{folder}/log" CreatePath="on" RateLimit.Interval="0")
*.* action(type="omfwd" protocol="tcp" target="127.0.0.1" port="{port}" template="RSYSLOG_SyslogProtocol23Format"
  queue.type="LinkedList" queue.size="10000" action.resumeRetryCount="-1" action.resumeInterval="1" {framing} {driver})
"""
_TLS = """StreamDriver="gtls" StreamDriverMode="1" StreamDriverAuthMode="x509/name"
  StreamDriverPermittedPeers="log.example.org" """


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    if not RSYSLOGD.exists() or not list(Path("/usr/lib").glob("*/rsyslog/lmnsd_gtls.so")):
        absent("rsyslog", CannotServe("needs rsyslog with TLS: apt-get install rsyslog rsyslog-gnutls"))
    return tmp_path


class Device:
    """An rsyslogd with a socket that programs log into."""

    def __init__(self, folder: Path, port: int, *, framing: str = "", tls: str = "") -> None:
        self._socket = folder / "log"
        config = folder / "rsyslog.conf"
        driver = _TLS if tls else ""
        config.write_text(_CONFIG.format(folder=folder, port=port, framing=framing, tls=tls, driver=driver), "utf-8")
        command = [str(RSYSLOGD), "-n", "-f", str(config), "-i", str(folder / "pid")]
        self.process = Process(command, folder / "rsyslog.log")
        self.process.wait_until(self._socket.exists, "rsyslog")

    def log(self, numbers: range) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as program:
            program.connect(str(self._socket))
            for n in numbers:
                program.send(b"<38>Nov 22 11:59:58 sshd[7]: message %d of many" % n)


def _take(source: SyslogSource, device: Device, count: int) -> list[Record]:
    found: list[Record] = []

    def all_there() -> bool:
        found.extend(source.read(NOON, 1000).records)
        return len(set(_numbers(found))) >= count

    device.process.wait_until(all_there, "the rest of the messages", limit=30)
    return found


def _numbers(records: list[Record]) -> list[int]:
    return [int(record.raw.split(b"message ")[1].split(b" ")[0]) for record in records if b"of many" in record.raw]


@pytest.mark.parametrize("framing", ['TCP_Framing="octet-counted"', 'TCP_Framing="traditional"'])
def test_over_tcp_every_message_comes_once_whichever_framing_it_uses(folder: Path, framing: str) -> None:
    port = free_port()
    source = SyslogSource(Listen("tcp", "127.0.0.1", port))
    source.open(None, NOON)
    source.read(NOON, 1)
    device = Device(folder, port, framing=framing)
    try:
        device.log(range(COUNT))
        found = _take(source, device, COUNT)
    finally:
        device.process.stop()
        source.close()
    assert _numbers(found) == list(range(COUNT))
    assert found[0].raw.startswith(b"<38>1 ")
    assert not found[0].raw.endswith(b"\n")


def test_over_tls_with_certificates_both_ways_and_a_listener_that_comes_late(folder: Path) -> None:
    authority = Authority(folder)
    server, own = authority.issue("log.example.org"), authority.issue("web-1.example.org")
    files = {"CAFile": authority.ca, "CertFile": own.cert, "KeyFile": own.key}
    port = free_port()
    tls = " ".join(f'DefaultNetstreamDriver{name}="{path}"' for name, path in files.items())
    device = Device(folder, port, framing='TCP_Framing="octet-counted"', tls=tls)
    source = SyslogSource(
        Listen("tls", "127.0.0.1", port), tls=Tls(server.cert, server.key, authority.ca, ["*.example.org"])
    )
    try:
        device.log(range(COUNT))  # nobody listens yet: rsyslog's own queue holds them
        source.open(None, NOON)
        source.read(NOON + timedelta(seconds=11), 1)
        found = _take(source, device, COUNT)
    finally:
        device.process.stop()
        source.close()
    assert list(dict.fromkeys(_numbers(found))) == list(range(COUNT))  # rsyslog sends again what it is not sure of
    assert {record.fields["tls.client.subject"] for record in found} == {"CN=web-1.example.org, O=Example"}

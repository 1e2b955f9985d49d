"""The syslog listener, with real sockets: who may speak, what is taken, what is told."""

from __future__ import annotations

import contextlib
import errno
import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from collectors.sources import Batch, Loss, Record
from collectors.sources.syslog_listener import Listen, SyslogSource, unheard
from collectors.sources.tls_server import Tls
from tests.standins.certificates import Authority, Pair

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
TURNS = 20_000  # reads that never wait: far more than a loopback socket needs


class Listener:
    """A source on a free loopback port, with what it gave until now."""

    def __init__(self, scheme: str, tls: Tls | None = None, *, connections: int = 8) -> None:
        listen = Listen(scheme, "127.0.0.1", 0)
        self.source = SyslogSource(listen, tls=tls, connections=connections, longest=1000)
        self.source.open(None, NOON)
        self.now = NOON
        self.records: list[Record] = []
        self.troubles: list[str] = []
        self.read()
        address = self.source.address()
        assert address is not None, self.troubles
        self.address = address

    def read(self, limit: int = 100) -> Batch:
        batch = self.source.read(self.now, limit)
        self.records += batch.records
        self.troubles += batch.troubles
        self.last = batch
        return batch

    def until(self, done: Callable[[], bool]) -> None:
        for _ in range(TURNS):
            if done():
                return
            self.read()
        raise AssertionError((self.records, self.troubles))

    def raws(self, count: int) -> list[bytes]:
        self.until(lambda: len(self.records) >= count)
        return [record.raw for record in self.records]


@pytest.fixture
def listening() -> Iterator[Callable[..., Listener]]:
    made: list[Listener] = []

    def make(scheme: str, tls: Tls | None = None, *, connections: int = 8) -> Listener:
        made.append(Listener(scheme, tls, connections=connections))
        return made[-1]

    yield make
    for one in made:
        one.source.close()


Listening = Callable[..., Listener]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def server(authority: Authority, *names: str, clients: Authority | None = None) -> Tls:
    pair = authority.issue("log.example.org")
    return Tls(pair.cert, pair.key, clients.ca if clients else None, names)


def send(address: tuple[str, int], data: bytes) -> socket.socket:
    made = socket.create_connection(address, timeout=10)
    made.sendall(data)
    return made


# UDP


def test_each_datagram_is_a_record_with_its_senders_address(listening: Listening) -> None:
    one = listening("udp")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as device:
        for data in (b"<34>one\n", b"<34>two\nlines\0", b"", b"\xff\0x"):
            device.sendto(data, one.address)
    assert one.raws(3) == [b"<34>one", b"<34>two\nlines", b"\xff\0x"]
    assert {record.fields["log.source.address"] for record in one.records} == {"127.0.0.1"}


def test_what_the_kernel_dropped_is_a_number(listening: Listening) -> None:
    one = listening("udp")
    sent = 40_000
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as device:
        for n in range(sent):
            device.sendto(b"<34>%d %s" % (n, b"x" * 900), one.address)
    losses: list[Loss] = []

    def drained() -> bool:
        losses.extend(one.read(1000).losses)
        return one.last.up_to is not None

    one.until(drained)
    lost = sum(loss.records or 0 for loss in losses)
    assert lost > 0
    assert len(one.records) + lost == sent
    assert "raise net.core.rmem_max" in losses[0].reason


def test_what_the_journal_has_no_room_for_is_one_loss(listening: Listening) -> None:
    one = listening("udp")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as device:
        for n in range(5):
            device.sendto(b"<34>%d" % n, one.address)
        one.source.skip(NOON)
        device.sendto(b"<34>after", one.address)
    (loss,) = one.read().losses
    assert (loss.records, one.raws(1)) == (5, [b"<34>after"])


# TCP


def test_counted_and_delimited_messages_come_over_one_connection_in_any_pieces(listening: Listening) -> None:
    one = listening("tcp")
    with send(one.address, b"8 <34>a\nbc<34>d\n<34>e"):
        assert one.raws(2) == [b"<34>a\nbc", b"<34>d"]
    assert one.raws(3)[-1] == b"<34>e"  # the half one that a closed connection leaves


def test_a_sender_waits_while_nothing_is_asked_for_and_nothing_of_it_is_lost(listening: Listening) -> None:
    one = listening("tcp")
    message, sent = b"<34>" + b"x" * 900 + b"\n", 0
    with send(one.address, b"") as device:
        device.setblocking(False)
        with contextlib.suppress(BlockingIOError):  # nobody reads: the kernel's buffers are full, at both ends
            while True:
                sent += device.send(message[sent % len(message) :])
        while sent % len(message):
            one.read()
            with contextlib.suppress(BlockingIOError):
                sent += device.send(message[sent % len(message) :])
    assert one.raws(sent // len(message)) == [message[:-1]] * (sent // len(message))
    assert one.source.written() == sent - sent // len(message)


def test_a_read_takes_about_as_much_as_is_asked_for_and_says_that_there_is_more(listening: Listening) -> None:
    one = listening("tcp")
    with send(one.address, b"<34>" + b"y" * 96 + b"\n"):
        one.raws(1)
    with send(one.address, (b"<34>" + b"x" * 95 + b"\n") * 2000):
        one.until(lambda: bool(one.read(10).records))
    assert len(one.last.records) <= 10 + 16384 // 100
    assert len(one.raws(2001)) == 2001


def test_half_a_message_and_silence_hold_nobody_else_up(listening: Listening) -> None:
    one = listening("tcp")
    with send(one.address, b"99 <34>half"), send(one.address, b"<34>whole\n"):
        assert one.raws(1) == [b"<34>whole"]


def test_at_the_limit_the_crowds_most_silent_connection_makes_room(listening: Listening) -> None:
    one = listening("tcp", connections=3)
    crowd = [send(one.address, b"<34>half %d" % n) for n in range(3)]
    one.until(lambda: one.source.written() == 0 and one.read().up_to is not None and len(crowd) == 3)
    for n, device in enumerate(crowd):
        one.now += timedelta(seconds=1)
        device.sendall(b" of %d\n" % n)
        one.raws(n + 1)
    with send(one.address, b"<34>new\n"):
        assert one.raws(4)[-1] == b"<34>new"
    assert "all 3 connections are taken" in one.troubles[0]
    assert crowd[0].recv(1) == b""
    for device in crowd:
        device.close()


def test_a_hundred_megabytes_in_one_frame_come_in_pieces_and_the_next_message_is_whole(listening: Listening) -> None:
    one = listening("tcp")
    device = send(one.address, b"100000 ")
    device.sendall(b"x" * 100_000 + b"<34>after\n")
    raws = one.raws(101)
    device.close()
    assert [len(raw) for raw in raws[:-1]] == [1000] * 100
    assert raws[-1] == b"<34>after"


@pytest.mark.parametrize("scheme", ["tcp", "tls"])
def test_one_that_is_reset_before_it_is_taken_costs_nobody_anything(
    listening: Listening, authority: Authority, scheme: str
) -> None:
    one = listening(scheme, server(authority) if scheme == "tls" else None)
    for data in (b"", b"<34>x"):
        gone = send(one.address, data)
        gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        gone.close()
    for _ in range(100):
        one.read()
    if scheme == "tcp":
        with send(one.address, b"<34>after\n"):
            one.until(lambda: b"<34>after" in [record.raw for record in one.records])
    else:
        speak(one, client(authority), b"<34>after\n")
        one.until(lambda: bool(one.records))
    assert one.records[-1].raw == b"<34>after"


# TLS


def client(authority: Authority, pair: Pair | None = None) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=authority.ca)
    if pair is not None:
        made.load_cert_chain(pair.cert, pair.key)
    return made


def speak(one: Listener, made: ssl.SSLContext, data: bytes) -> None:
    """Agree on TLS and send; both ends are in this thread, so neither may wait for the other."""
    plain = socket.create_connection(one.address, timeout=10)
    plain.setblocking(False)
    with made.wrap_socket(plain, server_hostname="log.example.org", do_handshake_on_connect=False) as device:
        for step in (device.do_handshake, lambda: device.sendall(data)):
            _finish(one, step)


def _finish(one: Listener, step: Callable[[], object]) -> None:
    for _ in range(TURNS):
        try:
            step()
            return
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            one.read()
    raise AssertionError("no end")


def test_over_tls_a_message_carries_its_senders_subject(listening: Listening, authority: Authority) -> None:
    one = listening("tls", server(authority, "switch-*.example.org", clients=authority))
    speak(one, client(authority, authority.issue("switch-7.example.org")), b"7 <34>abc")
    assert one.raws(1) == [b"<34>abc"]
    assert one.records[0].fields["tls.client.subject"] == "CN=switch-7.example.org, O=Example"


def test_without_a_client_ca_anyone_may_speak(listening: Listening, authority: Authority) -> None:
    one = listening("tls", server(authority))
    speak(one, client(authority), b"<34>abc\n")
    assert one.raws(1) == [b"<34>abc"]
    assert "tls.client.subject" not in one.records[0].fields


def refused(one: Listener, made: ssl.SSLContext) -> str:
    with contextlib.suppress(OSError):
        speak(one, made, b"<34>let me in\n")
    one.until(lambda: bool(one.troubles))
    assert one.records == []
    return one.troubles[0]


def test_a_client_without_a_certificate_is_told_apart(listening: Listening, authority: Authority) -> None:
    one = listening("tls", server(authority, clients=authority))
    assert "127.0.0.1: it shows no certificate: give it one" in refused(one, client(authority))


def test_a_client_of_an_unknown_authority_is_refused(
    listening: Listening, authority: Authority, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path, "stranger").issue("switch-7.example.org")
    one = listening("tls", server(authority, clients=authority))
    assert "client_ca_file does not hold the CA" in refused(one, client(authority, stranger))


def test_an_expired_client_certificate_is_refused(listening: Listening, authority: Authority) -> None:
    one = listening("tls", server(authority, clients=authority))
    assert "has expired" in refused(one, client(authority, authority.issue("old.example.org", days=-1)))


def test_a_good_certificate_with_another_name_is_refused(listening: Listening, authority: Authority) -> None:
    one = listening("tls", server(authority, "switch-7.example.org", clients=authority))
    said = refused(one, client(authority, authority.issue("printer.example.org")))
    assert "CN=printer.example.org, O=Example is not among client_names" in said


def test_who_speaks_no_tls_is_told_so(listening: Listening, authority: Authority) -> None:
    one = listening("tls", server(authority))
    with send(one.address, b"<34>plain text\n"):
        one.until(lambda: bool(one.troubles))
    assert "does not speak TLS" in one.troubles[0]


def test_a_handshake_that_never_ends_is_ended(listening: Listening, authority: Authority) -> None:
    one = listening("tls", server(authority))
    with send(one.address, b"\x16\x03"):
        one.until(lambda: one.read().up_to is not None)
        for _ in range(100):
            one.read()
        one.now += timedelta(seconds=11)
        one.until(lambda: bool(one.troubles))
    assert "no TLS handshake within 10 s" in one.troubles[0]


def test_a_renewed_certificate_serves_without_a_restart(
    listening: Listening, authority: Authority, tmp_path: Path
) -> None:
    tls = server(authority)
    one = listening("tls", tls)
    renewed = Authority(tmp_path, "new-ca")
    pair = renewed.issue("renewed")
    again = renewed.issue("log.example.org")
    assert again.cert == tls.cert_file
    speak(one, client(renewed), b"<34>abc\n")
    assert (one.raws(1), pair.cert.exists()) == ([b"<34>abc"], True)


# what cannot be


def fault(listen: Listen, tls: Tls | None = None) -> str:
    source = SyslogSource(listen, tls=tls)
    source.open(None, NOON)
    first, second = source.read(NOON, 10), source.read(NOON, 10)
    source.close()
    assert (first.up_to, second.up_to, list(second.troubles)) == (None, None, [])
    return first.troubles[0]


@pytest.mark.parametrize("scheme", ["udp", "tcp"])
def test_a_port_in_use_is_told_with_what_to_do_and_had_once_it_is_free(scheme: str) -> None:
    first = SyslogSource(Listen(scheme, "127.0.0.1", 0))
    first.open(None, NOON)
    first.read(NOON, 1)
    address = first.address()
    assert address is not None
    second = SyslogSource(Listen(scheme, *address))
    second.open(None, NOON)
    said = second.read(NOON, 1).troubles[0]
    assert "another program listens there" in said
    assert f"sport = :{address[1]}" in said
    first.close()
    assert second.read(NOON + timedelta(seconds=11), 1).troubles == []
    assert second.address() == address
    second.close()


def test_a_port_that_is_not_ours_to_take_is_told_with_what_lets_us() -> None:
    said = unheard(Listen("udp", "0.0.0.0", 514), PermissionError(errno.EACCES, "Permission denied"))
    assert said.startswith("udp://0.0.0.0:514: Permission denied; a port below 1024 needs root or CAP_NET_BIND_SERVICE")


def test_an_address_of_another_host_is_told() -> None:
    assert "this host has no such address" in fault(Listen("tcp", "203.0.113.1", 6514))


def test_a_certificate_that_is_none_is_told_by_its_file(authority: Authority, tmp_path: Path) -> None:
    junk = tmp_path / "junk.pem"
    junk.write_text("no certificate")
    pair, other = authority.issue("one"), authority.issue("two")
    listen = Listen("tls", "127.0.0.1", 0)
    assert "junk.pem" in fault(listen, Tls(junk, pair.key))
    assert "the key is not that of the certificate" in fault(listen, Tls(pair.cert, other.key))
    assert "No such file" in fault(listen, Tls(tmp_path / "absent.pem", pair.key))
    assert "no certificates in PEM form" in fault(listen, Tls(pair.cert, pair.key, junk))


# identity


def test_lost_state_begins_a_new_epoch_and_kept_state_goes_on_in_sequence(listening: Listening) -> None:
    one = listening("udp")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as device:
        device.sendto(b"<34>same", one.address)
        one.raws(1)
        kept = one.source.position(one.records)
        one.source.close()
        (again,) = received(one.address, kept, device)
        (fresh,) = received(one.address, "{broken", device)
        (restored,) = received(one.address, kept, device)
    first = one.records[0].origin
    assert [_number(origin) for origin in (first, again, restored, fresh)] == [1, 2, 2, 1]
    assert _epoch(first) == _epoch(again) != _epoch(fresh)
    assert restored != again  # the same state twice, as from a backup: the same text is another message


def _epoch(origin: bytes) -> bytes:
    return origin.partition(b".")[0]


def _number(origin: bytes) -> int:
    return int(origin.rpartition(b":")[2])


def received(address: tuple[str, int], position: str, device: socket.socket) -> list[bytes]:
    source = SyslogSource(Listen("udp", *address))
    source.open(position, NOON)
    source.read(NOON, 1)
    device.sendto(b"<34>same", address)
    found = [record.origin for _ in range(TURNS) for record in source.read(NOON, 1).records]
    source.close()
    return found


@pytest.mark.parametrize("text", ["0.0.0.0:514", "http://0.0.0.0:514", "udp://", "tcp://h:99999", "tcp://h:1/x"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no address"):
        Listen.parse(text)


def test_the_ports_of_the_rfcs_are_the_defaults() -> None:
    assert str(Listen.parse("tls://[::]")) == "tls://[::]:6514"
    assert str(Listen.parse("udp://0.0.0.0")) == "udp://0.0.0.0:514"

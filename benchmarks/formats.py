"""Lines a CPU second by format, in interleaved pairs against a chain of `re` that gives the same fields.

Every line is first read by both, and the events must be the same in time and in every field: else the benchmark fails.
Where rsyslog's mmnormalize and fail2ban-regex are installed they read the auth lines too, from a file and with their
start-up taken off. Last, the memory of a process that has every format loaded.

Usage: python -m benchmarks.formats [lines] [pairs]
"""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from benchmarks import formats_chain, formats_peers, machine
from collectors.formats import Context
from collectors.formats.registry import FORMATS

START = datetime(2026, 11, 1, tzinfo=UTC)
CONTEXT = Context(received=datetime(2026, 11, 22, tzinfo=UTC))
USERS = ("root", "deploy", "postgres", "www-data", "jenkins", "alice", "bob", "carol", "dave", "svc-backup", "zoe")
PROGRAMS = ("/usr/bin/ls -la /srv", "/usr/bin/apt-get update", "/usr/bin/rsync -a --delete /srv/app b:/srv", "/bin/sh")


def said(draw: random.Random) -> str:
    """One line of an auth log after its host: the mix of a host on the internet."""
    user, pid, kind = draw.choice(USERS), draw.randint(300, 4_000_000), draw.random()
    address = (
        f"{draw.choice((203, 198, 45, 10, 192))}.{draw.randint(0, 255)}.{draw.randint(0, 255)}.{draw.randint(1, 254)}"
    )
    peer = f"{address} port {draw.randint(1024, 65535)}"
    opened = draw.random() < 0.5
    if kind < 0.30:
        unknown = "invalid user " if draw.random() < 0.5 else ""
        return f"sshd[{pid}]: Failed password for {unknown}{user} from {peer} ssh2"
    if kind < 0.42:
        return (
            f"sshd[{pid}]: Accepted publickey for {user} from {peer} ssh2: ED25519 SHA256:{draw.getrandbits(172):043x}"
        )
    if kind < 0.50:
        return f"sshd[{pid}]: Invalid user {draw.getrandbits(20):05x} from {peer}"
    if kind < 0.58:
        who = draw.choice(("authenticating user root ", "invalid user admin ", ""))
        return f"sshd[{pid}]: Connection closed by {who}{peer} [preauth]"
    if kind < 0.64:
        return f"sshd[{pid}]: Received disconnect from {peer}:11: disconnected by user"
    if kind < 0.76:
        return (
            f"sshd[{pid}]: pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= "
            f"rhost={address}  user={user}"
            if kind > 0.72
            else _session(pid, "sshd", "sshd", user, "", 0, opened=opened)
        )
    if kind < 0.86:
        tty, command = draw.randint(0, 9), draw.choice(PROGRAMS)
        return f"sudo[{pid}]:    {user} : TTY=pts/{tty} ; PWD=/home/{user} ; USER=root ; COMMAND={command}"
    if kind < 0.90:
        return _session(pid, "sudo", "sudo", "root", user, 1000, opened=opened)
    if kind < 0.92:
        return f"su[{pid}]: FAILED SU (to root) {user} on pts/{draw.randint(0, 9)}"
    if kind < 0.97:
        return _session(pid, "CRON", "cron", "root", "root", 0, opened=opened)
    return f"systemd-logind[{pid}]: New session {draw.randint(1, 9999)} of user {user}."


def _session(pid: int, program: str, service: str, user: str, by: str, uid: int, *, opened: bool) -> str:  # noqa: PLR0913
    end = f"opened for user {user}(uid=0) by {by}(uid={uid})" if opened else f"closed for user {user}"
    return f"{program}[{pid}]: pam_unix({service}:session): session {end}"


def database(draw: random.Random) -> str:
    """One line of PostgreSQL's log after its time: connections, refusals, statements with their duration."""
    pid, user, kind, number = draw.randint(300, 4_000_000), draw.choice(USERS), draw.random(), draw.randint(1, 10**6)
    head = f"[{pid}] {user}@shop"
    took = f"duration: {draw.random() * 50:.3f} ms  statement: "
    if kind < 0.1:
        received = f"connection received: host=10.0.{draw.randint(0, 255)}.7 port={number % 60000}"
        return f"[{pid}] [unknown]@[unknown] LOG:  {received}"
    if kind < 0.2:
        return f"{head} LOG:  connection authorized: user={user} database=shop application_name=web"
    if kind < 0.3:
        return f'{head} FATAL:  password authentication failed for user "{user}"'
    if kind < 0.7:
        return f"{head} LOG:  {took}SELECT id, name, price FROM products WHERE id = {number} ORDER BY name LIMIT 10"
    if kind < 0.8:
        return f"{head} LOG:  {took}INSERT INTO orders (customer, product, amount) VALUES ({number}, 7, 1)"
    if kind < 0.9:
        return f"{head} LOG:  {took}UPDATE stock SET amount = amount - 1 WHERE product = {number}"
    return f"{head} LOG:  {took}DELETE FROM carts WHERE customer = {number}"


def moments(draw: random.Random) -> Iterator[datetime]:
    moment = START
    while True:
        moment += timedelta(milliseconds=draw.randint(1, 900))
        yield moment


def lines(name: str, count: int) -> list[str]:
    draw = random.Random(7)
    clock = moments(draw)
    return [HEADERS[name](next(clock), draw) for _ in range(count)]


HEADERS: dict[str, Callable[[datetime, random.Random], str]] = {
    "auth, RFC 3164": lambda at, draw: f"{at:%b} {at.day:2d} {at:%H:%M:%S} db-{draw.randint(1, 80)} {said(draw)}",
    "auth, ISO 8601": lambda at, draw: f"{at.isoformat(timespec='microseconds')} db-{draw.randint(1, 80)} {said(draw)}",
    "postgresql": lambda at, draw: f"{at:%Y-%m-%d %H:%M:%S.%f}"[:-3] + f" UTC {database(draw)}",
}
PEERS = {
    "auth, RFC 3164": ("syslog", formats_chain.bsd),
    "auth, ISO 8601": ("syslog", formats_chain.iso),
    "postgresql": ("postgresql", formats_chain.postgresql),
}


def seconds(parse: Callable[[str], object], corpus: list[str]) -> float:
    began = time.process_time()
    for line in corpus:
        parse(line)
    return time.process_time() - began


def compare(name: str, count: int, pairs: int) -> float:
    """Print the ratio for one format and return its lines a CPU second. Exits where the two do not agree."""
    corpus = lines(name, count)
    format_, chain = PEERS[name]
    parse = FORMATS[format_].parse

    def ours(line: str) -> object:
        return parse(line, CONTEXT)

    for line in corpus[:5000]:
        event = parse(line, CONTEXT)
        if chain(line) != (event.time, event.fields):
            sys.exit(f"the chain says otherwise of {line!r}:\n{chain(line)}\n{event}")
    timed = [(seconds(chain, corpus), seconds(ours, corpus)) for _ in range(pairs)]
    ratios = [theirs / mine for theirs, mine in timed]
    rate, other = count / statistics.median(t[1] for t in timed), count / statistics.median(t[0] for t in timed)
    print(
        f"{name:15} {rate:9,.0f} lines/CPU-s, the chain {other:9,.0f}: {statistics.median(ratios):.2f} x"
        f" ({min(ratios):.2f} to {max(ratios):.2f}, {pairs} pairs)"
    )
    return rate


_RESIDENT = """
import sys
from collectors.decode import Joiner
from collectors.formats.registry import FORMATS
if sys.argv[1] == "all":
    for name in FORMATS:
        FORMATS[name]
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmRSS")))
"""


def memory() -> None:
    """Print what a process holds with every format loaded, and with none."""
    none, every = (
        int(subprocess.run([sys.executable, "-c", _RESIDENT, what], capture_output=True, text=True, check=True).stdout)
        for what in ("none", "all")
    )
    print(f"memory: {every / 1024:.1f} MiB with every format loaded, {none / 1024:.1f} MiB with none")


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    pairs = int(sys.argv[2]) if len(sys.argv) > 2 else 7
    print(machine.line())
    rates = {name: compare(name, count, pairs) for name in PEERS}
    memory()
    formats_peers.report(lambda n: lines("auth, RFC 3164", n), rates["auth, RFC 3164"])


if __name__ == "__main__":
    main()

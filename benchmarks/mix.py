"""Events as they lie in the stream of a small fleet: half auditd, a fifth databases, a fifth metrics, a tenth logins.

Each event also says `product`, `category` and `service` in Sigma's words, which a peer may route by; Tocsin does not
read them. Deterministic.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import msgspec

BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
_USERS = ("alice", "bob", "carol", "deploy", "postgres", "svc_backup", "root")
_COMMANDS = ("ls", "grep", "git", "python3", "rsync", "psql", "curl", "sed", "systemctl", "cat")
_TABLES = ("orders", "customers", "invoices", "sessions", "stock", "prices")


def lines(count: int, seed: int = 7) -> Iterator[bytes]:
    """Yield the events as JSON, one flat object each."""
    chance = random.Random(seed)
    for number in range(count):
        moment = (BEGIN + timedelta(milliseconds=20 * number)).isoformat(timespec="microseconds").replace("+00:00", "Z")
        host = chance.randint(1, 40)
        made = chance.choices((_auditd, _database, _metric, _login), (50, 20, 20, 10))[0](chance)
        yield msgspec.json.encode(_base(number, moment, host) | made)


def _base(number: int, moment: str, host: int) -> dict[str, object]:
    return {
        "tocsin.schema": 1,
        "tocsin.record": "event",
        "@timestamp": moment,
        "event.created": moment,
        "event.id": f"{number:032x}",
        "event.kind": "event",
        "host.id": f"{host:08x}-0000-4000-8000-000000000000",
        "host.name": f"db-{host}",
        "service.environment": "production",
        "tocsin.writer": f"{host:08x}",
        "event.sequence": number,
    }


def _auditd(chance: random.Random) -> dict[str, object]:
    command, pid = chance.choice(_COMMANDS), chance.randint(300, 60_000)
    argument = f"/srv/app/{chance.getrandbits(32):08x}"
    raw = f'arch=c000003e syscall=59 success=yes exit=0 ppid=1 pid={pid} auid=1000 uid=1000 comm="{command}"'
    return {
        "product": "linux",
        "service": "auditd",
        "event.module": "auditd",
        "event.dataset": "auditd.log",
        "event.category": ["process"],
        "event.action": "execve",
        "event.outcome": "success",
        "tocsin.class": "system",
        "auditd.log.record_type": "SYSCALL",
        "auditd.log.a0": command,
        "auditd.log.a1": argument,
        "process.pid": pid,
        "process.executable": f"/usr/bin/{command}",
        "process.args": [command, argument],
        "user.name": chance.choice(_USERS),
        "message": raw,
        "event.original": f"type=SYSCALL msg=audit(1790000000.101:{pid}): {raw}",
    }


def _database(chance: random.Random) -> dict[str, object]:
    table = chance.choice(_TABLES)
    query = f"select * from {table} where id = {chance.randint(1, 10**6)}"
    return {
        "product": "postgresql",
        "category": "database",
        "event.module": "postgresql",
        "event.dataset": "postgresql.log",
        "event.category": ["database"],
        "tocsin.class": "db",
        "db.system.name": "postgresql",
        "db.namespace": f"{table.title()}_Production",
        "db.query.text": query,
        "db.operation.name": "SELECT",
        "tocsin.db.kind": "read",
        "user.name": chance.choice(_USERS),
        "source.ip": f"10.0.{chance.randint(0, 255)}.{chance.randint(1, 254)}",
        "message": f"AUDIT: SESSION,1,1,READ,SELECT,TABLE,public.{table},{query},<none>",
    }


def _metric(chance: random.Random) -> dict[str, object]:
    return {
        "product": "linux",
        "category": "host_metrics",
        "service": "filesystem",
        "event.kind": "metric",
        "event.module": "host_metrics",
        "event.dataset": "system.filesystem",
        "tocsin.class": "metrics",
        "system.filesystem.mount_point": chance.choice(("/", "/srv", "/var")),
        "system.filesystem.used.pct": round(chance.uniform(0.2, 0.91), 4),
        "system.filesystem.total": 10**12,
    }


def _login(chance: random.Random) -> dict[str, object]:
    user, address = chance.choice(_USERS), f"203.0.113.{chance.randint(1, 254)}"
    good = chance.random() < 0.7
    said = f"{'Accepted publickey' if good else 'Failed password'} for {user} from {address} port 51234 ssh2"
    return {
        "product": "linux",
        "category": "authentication",
        "event.module": "sshd",
        "event.dataset": "system.auth",
        "event.category": ["authentication", "session"],
        "event.action": "ssh_login",
        "event.outcome": "success" if good else "failure",
        "tocsin.class": "auth",
        "user.name": user,
        "source.ip": address,
        "source.port": 51234,
        "process.name": "sshd",
        "message": said,
        "event.original": f"Nov 22 02:14:03 db-7 sshd[811]: {said}",
    }

"""The real servers, each started once a session when a first test asks for it, and stopped at the end."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn, Protocol, TypeVar

import pytest

from tests.services.accounts import Accounts
from tests.services.elasticsearch import Elasticsearch
from tests.services.kafka import Kafka
from tests.services.mariadb import Mariadb
from tests.services.postgres import Postgres
from tests.services.process import CannotServe
from tests.services.sshd import Sshd

SERVERS = frozenset({"kafka", "elasticsearch", "postgres", "mariadb", "sshd", "accounts"})


class Server(Protocol):
    def stop(self) -> None: ...


S = TypeVar("S", bound=Server)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that asks for a server is marked so, and left out of `make check`."""
    for item in items:
        if SERVERS & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.server)


def absent(name: str, fault: CannotServe) -> NoReturn:
    """Skip with the reason; under CI=true that is a failure, so that no green run hides an untested part."""
    reason = f"{name}: {fault}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def serving(name: str, make: Callable[[Path], S]) -> Iterator[S]:
    """Start the server with its data in a folder of its own, and take both away at the end."""
    folder = Path(tempfile.mkdtemp(prefix=f"tocsin-{name}-"))
    try:
        try:
            server = make(folder)
        except CannotServe as fault:
            absent(name, fault)
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def kafka() -> Iterator[Kafka]:
    with serving("kafka", Kafka) as server:
        yield server


@pytest.fixture(scope="session")
def elasticsearch() -> Iterator[Elasticsearch]:
    with serving("elasticsearch", Elasticsearch) as server:
        yield server


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with serving("postgres", Postgres) as server:
        yield server


@pytest.fixture(scope="session")
def mariadb() -> Iterator[Mariadb]:
    with serving("mariadb", Mariadb) as server:
        yield server


@pytest.fixture(scope="session")
def sshd() -> Iterator[Sshd]:
    with serving("sshd", Sshd) as server:
        yield server


@pytest.fixture(scope="session")
def accounts(sshd: Sshd) -> Iterator[Accounts]:
    with serving("accounts", lambda folder: Accounts(folder, sshd)) as server:
        yield server

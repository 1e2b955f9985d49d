"""The real servers, each started once a session when a first test asks for it, and stopped at the end.

Also: how properties are tried, and which tests may run beside which.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn, Protocol, TypeVar

import pytest
from hypothesis import HealthCheck, settings

from tests.services.accounts import Accounts
from tests.services.elasticsearch import Elasticsearch
from tests.services.kafka import Kafka
from tests.services.mariadb import Mariadb
from tests.services.postgres import Postgres
from tests.services.process import CannotServe
from tests.services.sshd import Sshd
from tests.workers import pytest_configure_node, pytest_xdist_make_scheduler, told

__all__ = ["pytest_configure_node", "pytest_xdist_make_scheduler"]  # hooks of pytest-xdist

_UNHURRIED = [HealthCheck.too_slow]  # how long an example takes is for the machine to say, and who else uses it
settings.register_profile("whole", deadline=None, suppress_health_check=_UNHURRIED)
settings.register_profile("quick", settings.get_profile("whole"), max_examples=25)  # `make check`
settings.load_profile("whole")

SCENARIOS = Path(__file__).parent / "scenarios"
SERVERS = frozenset({"kafka", "elasticsearch", "postgres", "mariadb", "sshd", "accounts"})


class Server(Protocol):
    def stop(self) -> None: ...


S = TypeVar("S", bound=Server)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A test that asks for a server is marked so, and left out of `make check`."""
    for item in items:
        if SERVERS & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.server)
    together = (one for one in items if one.get_closest_marker("server") or SCENARIOS in one.path.parents)
    told(config, [one.nodeid for one in together])


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

"""Several workers (`pytest -n 2 --dist loadgroup`): one has every test with servers, all share the rest.

A server is started once then, and /dev/log is one process's. pytest-xdist's own groups are not seen by pytest 9.2: they
stand in node ids, which nobody may change any more. So the workers leave the names of those tests in a file.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

_FOLDER = pytest.StashKey[tempfile.TemporaryDirectory[str]]()
_NAME = "tocsin_tests_with_servers"


class OneForServers(LoadScopeScheduling):  # type: ignore[misc]
    """Gives out the tests with servers as one piece, and first, as it is the largest."""

    @cached_property
    def _servers(self) -> frozenset[str]:
        (told, *_) = Path(self.config.stash[_FOLDER].name).iterdir()
        return frozenset(told.read_text("utf-8").splitlines())

    def _split_scope(self, nodeid: str) -> str:
        return "servers" if nodeid in self._servers else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> OneForServers | None:
    return OneForServers(config, log) if config.getoption("dist") == "loadgroup" else None


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: WorkerController) -> None:
    """Tell a worker where to leave the names."""
    folder = node.config.stash.setdefault(_FOLDER, tempfile.TemporaryDirectory(prefix="tocsin-tests-"))
    node.workerinput[_NAME] = str(Path(folder.name) / node.gateway.id)


def told(config: pytest.Config, names: Iterable[str]) -> None:
    """In a worker: these tests have servers."""
    given = getattr(config, "workerinput", {})
    if _NAME in given:
        Path(given[_NAME]).write_text("\n".join(names), "utf-8")

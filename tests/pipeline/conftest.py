"""What the tests of the notifying role share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.standins.channels import Recorder
from tests.standins.desk import Desk


@pytest.fixture
def pager() -> Recorder:
    return Recorder()


@pytest.fixture
def desk(tmp_path: Path, pager: Recorder) -> Iterator[Desk]:
    """A notifier that tells the pager."""
    made = Desk(tmp_path, security=[pager])
    yield made
    made.close()

"""What the scenarios share: people's inboxes, a small disk, and an installation on each engine."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.scenarios.installation import Heard, Install, Installation, fleet, people
from tests.services.elasticsearch import Elasticsearch
from tests.services.kafka import Kafka
from tests.standins.certificates import self_signed
from tests.standins.mailbox import mailbox
from tests.standins.slack import slack


@pytest.fixture
def heard(tmp_path: Path) -> Iterator[Heard]:
    """A Slack workspace and a mailbox that wants STARTTLS and AUTH."""
    made = self_signed(tmp_path)
    with slack() as workspace, mailbox("starttls", made, auth=True) as box:
        yield Heard(workspace, box)


@pytest.fixture
def disk() -> Iterator[Path]:
    """A file system of 16 MiB."""
    place = Path(tempfile.mkdtemp(prefix="tocsin-disk-"))
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tocsin-test", str(place)], check=False)
    if mounted.returncode:
        pytest.skip("needs root: a tmpfs of its own to fill")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)
    place.rmdir()


@pytest.fixture(params=["embedded", "fleet"])
def install(request: pytest.FixtureRequest, tmp_path: Path, heard: Heard) -> Iterator[Install]:
    """Make an installation with the shipped rules that tells `heard`; stopped at the end."""
    engine: dict[str, object] = {}
    if request.param == "fleet":
        kafka: Kafka = request.getfixturevalue("kafka")
        elasticsearch: Elasticsearch = request.getfixturevalue("elasticsearch")
        engine = fleet(kafka, elasticsearch, tmp_path.name)
    made: list[Installation] = []

    def make(settings: Mapping[str, object]) -> Installation:
        made.append(Installation(tmp_path, engine, {**people(heard, tmp_path), **settings}))
        made[-1].start()
        return made[-1]

    yield make
    for installation in made:
        installation.stop()

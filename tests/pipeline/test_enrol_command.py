"""`tocsin enrol`: a host gets its id and key once, by hand, and the centre keeps what proves its records."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from collectors.chain import Key
from pipeline.chaining import KeyFile
from pipeline.commands.enrol import enrol
from pipeline.enrolled import Enrolled
from pipeline.streams import COMMANDS
from pipeline.streams.sqlite import SqliteStream


class Places:
    """A centre and a host, each with a state folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bundle = folder / "web-1.enrol"
        (folder / "centre.yml").write_text(f"state: {folder}/centre\n")
        (folder / "host.yml").write_text(
            f"state: {folder}/host\nstream: {{kind: kafka, servers: ['127.0.0.1:9']}}\nsources: []\n"
        )

    def call(self, where: str, *arguments: str) -> Result:
        return CliRunner().invoke(enrol, [*arguments, "-c", str(self.folder / f"{where}.yml")])

    def enrolled(self) -> dict[str, str]:
        return {one.name: one.id for one in Enrolled.of(self.folder / "centre" / "enrolled").all()}


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path)


def test_a_host_takes_over_the_id_and_key_that_the_centre_keeps(places: Places) -> None:
    assert places.call("centre", "new", "web-1", "-o", str(places.bundle)).exit_code == 0
    assert places.call("host", "accept", str(places.bundle)).exit_code == 0
    id_ = places.enrolled()["web-1"]
    kept = Enrolled.of(places.folder / "centre" / "enrolled").get(id_)
    assert kept is not None
    assert KeyFile(places.folder / "host" / "keys" / "collect.key").read() == (Key(0, kept.secret), 0)
    assert id_ in (places.folder / "host" / "host.json").read_text()


def test_the_bundle_is_for_its_owner_alone_and_gone_once_it_was_taken(places: Places) -> None:
    places.call("centre", "new", "web-1", "-o", str(places.bundle))
    assert places.bundle.stat().st_mode & 0o077 == 0
    places.call("host", "accept", str(places.bundle))
    assert not places.bundle.exists()


def test_who_enrolled_whom_is_recorded(places: Places) -> None:
    places.call("centre", "new", "web-1", "-o", str(places.bundle))
    places.call("centre", "revoke", "web-1")
    stream = SqliteStream(places.folder / "centre" / "stream")
    said = [message.value for message in stream.read(COMMANDS, "test", 10, 0).messages]
    assert [b'"verb":"enrol"' in said[0], b'"verb":"revoke"' in said[1]] == [True, True]


def test_a_revoked_host_is_shown_as_such_and_may_be_enrolled_anew(places: Places) -> None:
    places.call("centre", "new", "web-1", "-o", str(places.bundle))
    assert places.call("centre", "revoke", "web-1").exit_code == 0
    assert '"revoked":"2' in places.call("centre", "list").output
    assert places.call("centre", "new", "web-1", "-o", str(places.folder / "again")).exit_code == 0


def test_the_same_host_anew_keeps_the_key_that_its_records_were_sealed_with(places: Places) -> None:
    places.call("centre", "new", "web-1", "-o", str(places.bundle))
    id_ = places.enrolled()["web-1"]
    before = Enrolled.of(places.folder / "centre" / "enrolled").get(id_)
    places.call("centre", "new", "web-1", "--id", id_, "-o", str(places.folder / "again"))
    after = Enrolled.of(places.folder / "centre" / "enrolled").get(id_)
    assert before is not None
    assert after is not None
    assert [one.key for one in after.earlier] == [before.key]


def test_a_key_in_use_is_not_replaced_unasked(places: Places) -> None:
    places.call("centre", "new", "web-1", "-o", str(places.bundle))
    places.call("host", "accept", str(places.bundle))
    places.call("centre", "new", "web-2", "-o", str(places.bundle))
    refused = places.call("host", "accept", str(places.bundle))
    assert (refused.exit_code, "--again" in refused.output) == (1, True)
    assert places.call("host", "accept", str(places.bundle), "--again").exit_code == 0


@pytest.mark.parametrize(
    ("content", "told"),
    [(None, "No such file"), (b"", "no bundle"), (b'{"id":"x","name":"y","key":"zz"}', "no bundle")],
)
def test_what_is_no_bundle_is_refused_by_name(places: Places, content: bytes | None, told: str) -> None:
    if content is not None:
        places.bundle.write_bytes(content)
    refused = places.call("host", "accept", str(places.bundle))
    assert refused.exit_code == 1
    assert str(places.bundle) in refused.output
    assert told in refused.output


def test_a_name_is_enrolled_once(places: Places) -> None:
    places.call("centre", "new", "web-1", "-o", str(places.bundle))
    refused = places.call("centre", "new", "web-1", "-o", str(places.folder / "again"))
    assert (refused.exit_code, "enrolled already" in refused.output) == (1, True)


def test_nobody_of_that_name_to_revoke(places: Places) -> None:
    refused = places.call("centre", "revoke", "web-9")
    assert (refused.exit_code, "0 enrolled hosts" in refused.output) == (1, True)

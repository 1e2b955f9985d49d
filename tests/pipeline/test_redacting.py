"""From the `redact` of the config to what lies on the disk: journal, stream and index hold nothing of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from collectors.assemble import Host
from collectors.chain import Key
from collectors.environments import Environments
from pipeline.chaining import KeyFile, Sealing
from pipeline.config import parse
from pipeline.indexes import Query
from pipeline.indexes.sqlite import SqliteIndex
from pipeline.intake import embedded
from pipeline.roles.collect import Collect
from pipeline.roles.index import Indexer
from pipeline.search.language import parse as asked
from pipeline.sourcing import open_feeds
from pipeline.streams.sqlite import SqliteStream

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
HOST = Host("host-1", "db-1", b"k" * 32)
CARD, NAME, SECRET = "4111222233334444", "Zebrowski", "hunter-22"
PREFIX = "2026-11-22 11:59:58.100 UTC [7] mallory@shop "
LOG = f"""\
{PREFIX}LOG:  statement: ALTER USER bob PASSWORD '{SECRET}'
{PREFIX}LOG:  statement: INSERT INTO card VALUES ({CARD},
\t'{NAME}')
{PREFIX}ERROR:  duplicate key value violates unique constraint "card_pkey"
{PREFIX}DETAIL:  Key (no)=({CARD}) already exists.
{PREFIX}STATEMENT:  INSERT INTO card VALUES ({CARD}, '{NAME}')
{NAME} {CARD} stands alone: its beginning was cut away
"""


def kept(folder: Path, how: str) -> tuple[bytes, list[dict[str, object]]]:
    """Collect and index the log; return every byte that was written, and what is found."""
    (folder / "pg.log").write_text(LOG, "utf-8")
    source = f"{{kind: file, paths: ['{folder}/pg.log'], format: postgresql{how}}}"
    state = folder / "state"
    state.mkdir()
    keys = KeyFile(state / "collect.key")
    keys.write(Key(0, b"s" * 32), 0, sync=False)
    stream, index = SqliteStream(state / "stream"), SqliteIndex(state / "index")
    feeds = open_feeds(parse(f"sources: [{source}]\n", "tocsin.yml", {}))
    role = Collect(feeds, embedded(stream), HOST, Environments.of([], "unknown"), Sealing(HOST, "c", keys, "here"))
    for second in range(3):
        role.step(NOON + timedelta(seconds=second))
    indexer = Indexer(stream, index)
    while indexer.step(NOON):
        pass
    found = [dict(one.fields) for one in index.search(Query(asked("event.original:*"))).hits]
    for part in (role, stream, index):
        part.close()
    return b"".join(path.read_bytes() for path in sorted(state.rglob("*")) if path.is_file()), found


def test_with_literals_redacted_no_password_name_or_card_number_is_on_the_disk(tmp_path: Path) -> None:
    written, found = kept(tmp_path, ", redact: literals")
    assert not [word for word in (SECRET, NAME, CARD) if word.encode() in written]
    texts = {str(hit["event.original"]) for hit in found}
    assert {"ALTER USER bob PASSWORD ?", "INSERT INTO card VALUES (?,\n?)", "INSERT INTO card VALUES (?, ?)"} <= texts
    assert all(hit.get("tocsin.redacted") == "literals" for hit in found if hit.get("user.name") == "mallory")
    assert len({str(hit["event.id"]) for hit in found}) == len(found) == 6


def test_unless_told_otherwise_only_a_password_is_masked(tmp_path: Path) -> None:
    written, found = kept(tmp_path, "")
    assert SECRET.encode() not in written
    assert f"{PREFIX}LOG:  statement: ALTER USER bob PASSWORD '?'" in {str(hit["event.original"]) for hit in found}
    assert NAME.encode() in written


def test_an_events_id_is_that_of_the_record_as_it_was_read(tmp_path: Path) -> None:
    ids = []
    for how in ("none", "passwords", "literals"):
        (tmp_path / how).mkdir()
        (tmp_path / how / "pg.log").touch()
        ids.append({str(hit["event.id"]) for hit in kept(tmp_path / how, f", redact: {how}")[1] if "user.name" in hit})
    assert len(ids[0]) == 5
    # files stand in folders of their own, and a file's identity is its first record, not its path
    assert ids[0] == ids[1] == ids[2]


def test_what_is_not_redacted_is_found_so_that_these_tests_can_fail(tmp_path: Path) -> None:
    written, _ = kept(tmp_path, ", redact: none")
    assert all(word.encode() in written for word in (SECRET, NAME, CARD))

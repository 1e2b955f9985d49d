"""What one file of the embedded index holds: tables, and how documents become their rows and come back."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from pipeline.indexes import Document, Refused
from pipeline.indexes.packing import BLOCK, Packer, dictionary_of
from pipeline.indexes.repeats import another, sealed
from pipeline.search.words import Word, text_for_words
from rules.event import Fields, Value, instant
from rules.patterns import fold
from rules.values import text_of

COLUMNS: Final = {  # beside the document's id
    "host.name": "host",
    "user.name": "user",
    "source.ip": "source",
    "event.dataset": "dataset",
    "event.action": "action",
    "event.outcome": "outcome",
    "process.name": "process",
}
SCHEMA: Final = f"""
CREATE TABLE IF NOT EXISTS hits (
    n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, time INTEGER NOT NULL, odd INTEGER NOT NULL,
    {", ".join(f"{column} TEXT" for column in COLUMNS.values())}
);
CREATE INDEX IF NOT EXISTS by_time ON hits (time);
CREATE INDEX IF NOT EXISTS by_host ON hits (host, time);
CREATE INDEX IF NOT EXISTS by_user ON hits (user, time);
CREATE INDEX IF NOT EXISTS by_source ON hits (source, time);
CREATE INDEX IF NOT EXISTS by_oddity ON hits (time) WHERE odd;
CREATE TABLE IF NOT EXISTS dictionaries (n INTEGER PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS documents (first INTEGER PRIMARY KEY, dictionary INTEGER NOT NULL, value BLOB NOT NULL);
CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5 (text, content='', detail=none, tokenize='ascii');
CREATE VIRTUAL TABLE IF NOT EXISTS temp.terms USING fts5vocab(main, words, row);
"""
SELECT_TERMS: Final = "SELECT term FROM temp.terms WHERE instr(term, ?) LIMIT ?"
INSERT_HIT: Final = f"INSERT OR IGNORE INTO hits VALUES (?, ?, ?, ?{', ?' * len(COLUMNS)})"
SELECT_BLOCK: Final = "SELECT first, dictionary, value FROM documents WHERE first <= ? ORDER BY first DESC LIMIT 1"
INSERT_DOCUMENT: Final = "INSERT INTO documents VALUES (?, ?, ?)"
INSERT_WORDS: Final = "INSERT INTO words (rowid, text) VALUES (?, ?)"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_LONGEST: Final = 256  # characters of a value that a column holds
_SHORTEST_PART: Final = 3  # characters: a shorter part of a word stands in too many
_TERMS_AT_MOST: Final = 500
_ENOUGH: Final = 500  # documents for a dictionary that serves the rest of the file

decode: Final = msgspec.json.Decoder(dict[str, Value]).decode
Readable = tuple[Document, Fields]


class File:
    """One open file: a class's documents of one day."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")  # what is committed in the stream must be here
        connection.executescript(SCHEMA)
        self._packers: dict[int, Packer] = {}
        self._block: tuple[int, list[bytes]] = (0, [])  # the one unpacked last, and the number of its first document

    def store(self, documents: Sequence[Readable]) -> list[Document]:
        """Store in one transaction what is not there yet; return what is there as another record."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            there = self._insert(documents)
            self.connection.execute("COMMIT")
            return [one for one in there if sealed(one) and self._another(one)]
        except BaseException:
            self.connection.execute("ROLLBACK")
            self._packers.clear()  # one of them may have been rolled back
            self._block = (0, [])
            raise

    def document(self, n: int) -> bytes:
        """Return the document of a hit. Neighbours are often asked for next: their block is kept at hand."""
        first, block = self._block
        if not 0 <= n - first < len(block):
            (first, dictionary, packed) = self.connection.execute(SELECT_BLOCK, (n,)).fetchone()
            block = self._packer(dictionary).unpack(packed)
            self._block = (first, block)
        return block[n - first]

    def terms(self, word: Word) -> list[str] | None:
        """Return the words of this file that hold the part of a word, or None if there are too many to be of use."""
        if len(word.text) < _SHORTEST_PART:
            return None
        found = [term for (term,) in self.connection.execute(SELECT_TERMS, (word.text, _TERMS_AT_MOST + 1))]
        if len(found) > _TERMS_AT_MOST:
            return None
        return [term for term in found if word.open_end or term.endswith(word.text)]

    def close(self) -> None:
        self.connection.close()

    def _another(self, document: Document) -> bool:
        found = self.connection.execute("SELECT n FROM hits WHERE id = ?", (document.id,)).fetchone()
        try:
            return found is not None and another(self.document(found[0]), document)
        except (zlib.error, msgspec.MsgspecError, TypeError, IndexError):
            return True  # what is there cannot be read

    def _insert(self, documents: Sequence[Readable]) -> list[Document]:
        """Insert, and return those whose ids were there before."""
        (first,) = self.connection.execute("SELECT coalesce(max(n), 0) + 1 FROM hits").fetchone()
        done = self.connection.executemany(INSERT_HIT, [hit(n, *one) for n, one in enumerate(documents, first)])
        new: Sequence[tuple[int, Readable]] = list(enumerate(documents, first))
        if done.rowcount != len(documents):  # some ids were there before
            there = {n for (n,) in self.connection.execute("SELECT n FROM hits WHERE n >= ?", (first,))}
            new = [one for one in new if one[0] in there]
        self.connection.executemany(INSERT_WORDS, [(n, text_for_words(one[1])) for n, one in new])
        number = self._dictionary(first, [document.value for document, _ in documents])
        self.connection.executemany(INSERT_DOCUMENT, self._blocks(number, new))
        fresh = {n for n, _ in new} if len(new) < len(documents) else None
        return [] if fresh is None else [one for n, (one, _) in enumerate(documents, first) if n not in fresh]

    def _blocks(self, dictionary: int, documents: Sequence[tuple[int, Readable]]) -> Iterator[tuple[int, int, bytes]]:
        """Yield blocks of documents whose numbers follow each other."""
        pack = self._packer(dictionary).pack
        start = 0
        while start < len(documents):
            first = documents[start][0]
            block = [one[0].value for n, one in documents[start : start + BLOCK] if n - first < BLOCK]
            if documents[start + len(block) - 1][0] - first >= len(block):  # a repeat left a gap
                block = block[:1]
            yield first, dictionary, pack(block)
            start += len(block)

    def _dictionary(self, first: int, documents: Sequence[bytes]) -> int:
        """Return the number of the dictionary to pack with: of the first documents, and later of enough of them."""
        (number, made_at) = self.connection.execute(
            "SELECT coalesce(max(n), 0), coalesce((SELECT max(n) FROM hits), 0) FROM dictionaries"
        ).fetchone()
        enough = first > _ENOUGH or len(documents) >= _ENOUGH
        if number and (number > 1 or not enough or made_at == 0):
            return int(number)
        number = 2 if enough else 1
        self.connection.execute("INSERT INTO dictionaries VALUES (?, ?)", (number, dictionary_of(documents)))
        return int(number)

    def _packer(self, number: int) -> Packer:
        if number not in self._packers:
            (dictionary,) = self.connection.execute("SELECT value FROM dictionaries WHERE n = ?", (number,)).fetchone()
            self._packers[number] = Packer(dictionary)
        return self._packers[number]


def hit(n: int, document: Document, fields: Fields) -> tuple[object, ...]:
    """Return the row of `hits`: a value that is no plain text makes the document odd, and is found in it alone."""
    odd = fold(document.id) != document.id
    columns: list[str | None] = []
    for value in map(fields.get, COLUMNS):
        if isinstance(value, str) and len(value) <= _LONGEST and "\0" not in value:
            columns.append(fold(value))
        elif isinstance(value, str | list):
            odd = True
            columns.append(None)
        else:
            columns.append(text_of(value))
    return (n, document.id, microseconds(document.time), odd, *columns)


def readable(documents: Iterable[Document], refused: list[Refused]) -> Iterator[Readable]:
    """Yield each document with its fields; one that is not what it must be goes to `refused`."""
    for document in documents:
        try:
            fields = decode(document.value)
            if fields["event.id"] != document.id or instant(str(fields["@timestamp"])) != document.time:
                raise ValueError("event.id and @timestamp are not the document's")
        except (msgspec.MsgspecError, KeyError, ValueError) as fault:
            refused.append(Refused(document, f"not a flat ECS object: {fault}"))
        else:
            yield document, fields


def microseconds(moment: datetime) -> int:
    """Return the moment as microseconds since 1970, exactly."""
    return (moment - _EPOCH) // _MICROSECOND

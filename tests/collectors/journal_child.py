"""A process that uses the journal as a collector does, to be killed or refused at any system call.

It says on its standard output what was acknowledged, before it goes on: a line for each append, numbered from 1.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROUNDS = 6
TOPICS = ("first", "normal")


def rows(number: int) -> dict[str, list[tuple[str, bytes]]]:
    """What is appended in one round: a few records, one of them over several pages."""
    small = [(f"host-{number}", b"%d-%d" % (number, n) * 20) for n in range(2)]
    return {"first": small, "normal": [("", b"%d" % number * 6000)]}


def main(folder: Path) -> None:
    from collectors.journal import Journal, JournalError

    refusals = 0
    journal = None
    number = 1
    while number <= ROUNDS:
        try:
            journal = journal or Journal(folder, TOPICS, segment_bytes=50_000)
            if number == ROUNDS:
                journal.drop(dict.fromkeys(TOPICS, 10**6), older_than=None)
            journal.append(rows(number), {"source": str(number), f"other-{number % 2}": "x" * 900})
        except (JournalError, OSError) as error:
            refusals += 1
            if refusals > 3:
                raise
            os.write(2, f"{error}\n".encode())
            continue
        os.write(1, b"%d\n" % number)
        number += 1
    journal.close()


def read(folder: Path) -> None:
    """Open and read, mending what is damaged."""
    from collectors.journal import Journal

    journal = Journal(folder, TOPICS)
    for topic in TOPICS:
        journal.read(topic, 0, 1000)
    journal.close()


if __name__ == "__main__":
    (read if sys.argv[2:] else main)(Path(sys.argv[1]))

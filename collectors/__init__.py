"""The way in: bytes of a source -> records -> ECS events -> the journal. I/O only in sources/ and journal.py."""

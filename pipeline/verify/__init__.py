"""Verify: is the archive what the hosts wrote? Each record's seal, and the numbers of each chain without a hole.

examine.py   one stored document: sound, altered, moved, or of no chain
spool.py     a row for each record, sorted on the disk, so that memory stays bounded
judge.py     one chain's rows in order: what is missing, altered, doubled or cut
anchors.py   how far chains went, as stated elsewhere
"""

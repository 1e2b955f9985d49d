"""What Elasticsearch is told of our fields: the index template.

Every field is a keyword whose case is removed at indexing, whatever JSON type it has, so that no event is refused for
its types; only fields of the lists below are numbers, addresses or times, and a value that is none is set aside by
Elasticsearch itself (`_ignored`), not refused. Names stay flat (`subobjects: false`): `a` and `a.b` may both be there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

from pipeline.search.words import UNWORDED

Kind: TypeAlias = Literal["long", "double", "ip", "date", "keyword"]

VERSION: Final = 1  # of the template; a newer one replaces an older one
WORDS: Final = "tocsin.index.words"  # every value's words, for keywords
ODD: Final = "tocsin.index.odd"  # true: this document is a candidate for every search
LONGEST: Final = 2048  # characters of a value that is indexed; a longer one makes the document a candidate
_LONGS: Final = (
    "event.sequence", "event.severity", "process.pid", "process.parent.pid", "source.port", "destination.port",
    "client.port", "server.port", "log.offset", "tocsin.schema", "tocsin.part.number", "tocsin.part.count",
    "system.filesystem.total", "system.filesystem.free", "system.filesystem.available",
    "system.filesystem.files", "system.filesystem.free_files", "system.filesystem.used.bytes",
    "system.memory.total", "system.memory.free", "system.memory.used.bytes", "system.memory.actual.free",
    "system.memory.actual.used.bytes", "system.memory.swap.total", "system.memory.swap.free",
    "system.memory.swap.used.bytes",
)  # fmt: skip
_DOUBLES: Final = (
    "system.filesystem.used.pct", "tocsin.filesystem.files.used.pct", "system.memory.used.pct",
    "system.memory.actual.used.pct", "system.memory.swap.used.pct",
)  # fmt: skip
_ADDRESSES: Final = ("source.ip", "destination.ip", "client.ip", "server.ip", "host.ip", "related.ip")
_TIMES: Final = ("event.created", "event.start", "event.end", "event.ingested", "tocsin.claimed_time")
KINDS: Final[Mapping[str, Kind]] = {
    **dict.fromkeys(_LONGS, "long"),
    **dict.fromkeys(_DOUBLES, "double"),
    **dict.fromkeys(_ADDRESSES, "ip"),
    **dict.fromkeys(_TIMES, "date"),
}
_KEYWORD: Final = {"type": "keyword", "normalizer": "folded", "ignore_above": LONGEST, "copy_to": WORDS}
_SHAPES: Final[Mapping[Kind, Mapping[str, object]]] = {
    # Coercing would index 5.7 as 5 and "5" as 5; what is no JSON number of the kind is set aside instead.
    "long": {"type": "long", "coerce": False, "ignore_malformed": True, "copy_to": WORDS},
    "double": {"type": "double", "coerce": False, "ignore_malformed": True, "copy_to": WORDS},
    "ip": {"type": "ip", "ignore_malformed": True, "copy_to": WORDS},
    "date": {"type": "date_nanos", "ignore_malformed": True, "copy_to": WORDS},
    "keyword": _KEYWORD,
}


def template(prefix: str) -> dict[str, object]:
    """Return the body of the index template for `<prefix>-*`."""
    return {
        "index_patterns": [f"{prefix}-*"],
        "priority": 200,
        "version": VERSION,
        "template": {"settings": _settings(), "mappings": _mappings()},
        "_meta": {"description": "written by Tocsin"},
    }


def _settings() -> dict[str, object]:
    return {
        "index": {
            "number_of_shards": 1,
            "auto_expand_replicas": "0-1",
            "codec": "best_compression",
            "refresh_interval": "1s",
            # Attackers choose names: beyond the limit a field is set aside, and the event is still taken.
            "mapping": {"total_fields": {"limit": 1000, "ignore_dynamic_beyond_limit": True}},
            "analysis": {
                "normalizer": {"folded": {"type": "custom", "filter": ["lowercase"]}},
                "analyzer": {"words": {"type": "custom", "tokenizer": "standard", "filter": ["lowercase"]}},
            },
        }
    }


def _mappings() -> dict[str, object]:
    properties: dict[str, Mapping[str, object]] = {
        "@timestamp": {"type": "date_nanos"},
        "event.id": {"type": "keyword"},  # as it is: hits of one moment are sorted by it
        ODD: {"type": "boolean"},
        WORDS: {"type": "text", "analyzer": "words", "norms": False, "index_options": "docs"},
    }
    named: dict[str, Kind] = {**dict.fromkeys(UNWORDED - properties.keys(), "keyword"), **KINDS}
    for name, kind in named.items():
        shape = _SHAPES[kind]
        properties[name] = {k: v for k, v in shape.items() if k != "copy_to"} if name in UNWORDED else shape
    return {
        "subobjects": False,
        "date_detection": False,
        "numeric_detection": False,
        "dynamic_templates": [{"everything": {"match": "*", "match_mapping_type": "*", "mapping": _KEYWORD}}],
        "properties": properties,
    }

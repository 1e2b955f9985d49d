"""The Elasticsearch index against helpers.bulk of ready documents: the same node, template and documents.

Wall time, interleaved pairs in one run, each into new indexes; what counts is the ratio.
Usage: python -m benchmarks.elasticsearch_bulk [events] [pairs]. Starts a real node, as the tests do.
"""

from __future__ import annotations

import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
from elasticsearch import Elasticsearch as Client
from elasticsearch import helpers

from benchmarks.index import BATCH, batches, corpus
from pipeline.indexes import Document
from pipeline.indexes.elasticsearch import ElasticsearchIndex
from tests.services.elasticsearch import Elasticsearch


def bare(client: Client, name: str, documents: Sequence[Document]) -> float:
    ready = [
        {"_op_type": "create", "_index": name, "_id": one.id, "_source": msgspec.json.decode(one.value)}
        for one in documents
    ]
    begun = time.perf_counter()
    helpers.bulk(client, ready, chunk_size=BATCH)
    return time.perf_counter() - begun


def ours(server: Elasticsearch, prefix: str, documents: Sequence[Document]) -> float:
    index = ElasticsearchIndex(
        server.hosts, username=server.username, password=server.password, ca_file=server.ca_file, prefix=prefix
    )
    index.put(())  # the template
    begun = time.perf_counter()
    for batch in batches(documents):
        index.put(batch)
    spent = time.perf_counter() - begun
    index.close()
    return spent


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    pairs = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    documents = list(corpus(count))
    print(f"{platform.machine()}, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory() as folder:
        server = Elasticsearch(Path(folder))
        secret = (server.username, server.password)
        client = Client(server.hosts, basic_auth=secret, ca_certs=str(server.ca_file))
        try:
            ours(server, "tocsin-warm", documents)
            spent = []
            for n in range(pairs):
                ours(server, f"tocsin-bare{n}", ())  # its template
                spent.append(
                    (bare(client, f"tocsin-bare{n}-auth-x", documents), ours(server, f"tocsin-o{n}", documents))
                )
        finally:
            client.close()
            server.stop()
    ratios = [b / o for b, o in spent]
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}, {pairs} pairs"
    print(f"indexing: {statistics.median(ratios):.2f} x helpers.bulk of ready documents ({spread}; floor 0.7, aim 0.9)")
    print(f"          {count / statistics.median(o for _, o in spent):,.0f} events a second")


if __name__ == "__main__":
    main()

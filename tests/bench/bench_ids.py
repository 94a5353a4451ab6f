"""Compare `_id`s as 64 characters of hex with 32 bytes of binary: `python -m
tests.bench.bench_ids [--documents N]`.

Two collections of small documents with random digests, in one mongod with a small cache: the size
of the index on `_id`, and what 20,000 look-ups read from the disk. The product keeps the hex.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from consumer.mongodb.embedded.supervisor import EmbeddedMongo

KINDS: dict[str, Callable[[bytes], Any]] = {"hex": bytes.hex, "binary": bytes}
_BATCH = 20_000
_LOOK_UPS = 20_000


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.bench_ids", description=__doc__)
    parser.add_argument("--documents", type=int, default=10_000_000)
    parser.add_argument("--payload", type=int, default=100, help="bytes a document")
    parser.add_argument("--cache", type=float, default=0.25, help="GB of mongod's cache")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="cxone-bench-", ignore_cleanup_errors=True) as path:
        server = EmbeddedMongo(Path(path), cache_gb=options.cache).start()
        try:
            with MongoClient[dict[str, Any]](server.uri, w=1) as client:
                for kind in KINDS:
                    _fill(client["bench"], kind, options.documents, options.payload)
                client.admin.command("fsync")
                for kind in KINDS:
                    print(_measured(client["bench"], kind, options.documents))
        finally:
            server.stop(grace=10)


def _ids(kind: str, documents: int) -> Iterator[Any]:
    return (KINDS[kind](sha256(number.to_bytes(8, "big")).digest()) for number in range(documents))


def _fill(db: Database[dict[str, Any]], kind: str, documents: int, payload: int) -> None:
    text = os.urandom(payload // 2).hex()
    ids = _ids(kind, documents)
    while batch := list(islice(ids, _BATCH)):
        try:
            db[kind].insert_many([{"_id": each, "text": text} for each in batch], ordered=False)
        except BulkWriteError as error:
            raise SystemExit(str(error.details)[:500]) from None


def _measured(db: Database[dict[str, Any]], kind: str, documents: int) -> str:
    size = db.command("collStats", kind)["indexSizes"]["_id_"]
    chance = random.Random(1)
    asked = [chance.randrange(documents) for _ in range(_LOOK_UPS)]
    before = _reads(db)
    for number in asked:
        _id = KINDS[kind](sha256(number.to_bytes(8, "big")).digest())
        if db[kind].find_one({"_id": _id}, {"_id": 1}) is None:
            raise SystemExit(f"{_id!r} is not there")
    reads = (_reads(db) - before) / _LOOK_UPS
    each = size / documents
    return f"{kind:8} index {size / 1e6:,.0f} MB, {each:.0f} bytes a document, {reads:.2f} reads"


def _reads(db: Database[dict[str, Any]]) -> int:
    return int(db.command("serverStatus")["wiredTiger"]["cache"]["pages read into cache"])


if __name__ == "__main__":
    main()

"""Commands on Windows with the code page of Western Europe, which pipes have there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pymongo.database import Database

from consumer.core.clock import utc_now
from consumer.mongodb.client import open_database
from consumer.signals.signals import Signal
from consumer.signals.store import Signals
from tests.support.service import SECRET, running_service
from tests.support.signals import RENAMED
from tests.windows.wine.machine import Wine


def test_what_code_page_1252_lacks_is_written_out(
    wine: Wine, mongod_uri: str, database: Database[dict[str, Any]], tmp_path: Path
) -> None:
    where = {
        "PYTHONUTF8": "0",
        "CXONE_SHARED_SECRET": SECRET,
        "MONGODB_URI": mongod_uri,
        "MONGODB_DATABASE": database.name,
    }
    kind = "Łódź Jürgen 王"
    with running_service(mongod_uri, database.name) as client:
        client.post({"id": "e-1", "type": kind, "Straße 😟": 1})
        client.post(b'{"id": "e-2", "type": "' + kind.encode() + b'"')
    renamed = Signal("renamed", ("Straße 😟",), ("Weg ł",), utc_now(), 0.9, RENAMED, subject=kind)
    Signals(open_database(database.client, database.name)).save([(renamed, True)])

    def printed(*words: str) -> str:
        done = wine.run("-m", "consumer", *words, cwd=tmp_path, settings=where)
        assert done.returncode == 0, done
        return done.stdout.decode("cp1252")

    used = wine.run("-c", "import sys; print(sys.stdout.encoding)", cwd=tmp_path, settings=where)
    assert used.stdout.strip() == b"cp1252"
    assert r"\u0141ódź Jürgen \u738b".replace("ź", r"\u017a") in printed("schema", "list")
    assert r"Straße \U0001f61f" in printed("schema", "show", kind)
    alias = r"""'Straße \U0001f61f' 'Weg \u0142'"""
    assert alias in printed("schema", "signals")
    assert r"Weg \u0142" in printed("schema", "alias", kind, "Straße 😟", "Weg ł")
    assert r"as version 1 has it" in printed("schema", "pin", f"{kind}@1", "--as", "billing")
    assert r"\u0141ód" in printed("schema", "pins")
    assert "malformed" in printed("dlq", "list")
    assert "Wrote" in printed("init", "--file", f"{kind}.env")
    assert (tmp_path / f"{kind}.env").is_file()

"""Posts of `send` to the real service become what they are said to."""

from __future__ import annotations

from typing import Any

from pymongo.database import Database

from consumer.demo.client import Outgoing, Sender, Sign
from consumer.demo.samples.scenario import scenario
from consumer.ingest.signature import sign as signed_headers
from tests.support.places import PAYLOADS
from tests.support.senders import NOW, SCHEME
from tests.support.service import SECRET, dead_letters, eventually, running_service


def test_the_service_makes_of_each_sample_what_it_says(
    mongod_uri: str, database: Database[dict[str, Any]]
) -> None:
    samples = list(scenario(3, 60))
    keys = {"good": SECRET.encode(), "wrong": b"another secret"}

    def signer(signature: str) -> Sign:
        if signature == "missing":
            return lambda body: {}
        return lambda body: signed_headers(SCHEME, keys[signature], body, NOW)

    outgoing = [Outgoing(sample.body, signer(sample.signature)) for sample in samples]

    with running_service(mongod_uri, database.name) as client:
        results = list(Sender(client.service.url).send(outgoing))
        eventually(lambda: len(dead_letters(database)) == 5)

    told = [
        (sample.expect, result.word if result.accepted else result.status)
        for sample, result in zip(samples, results, strict=True)
    ]
    assert set(told) == {
        ("processed", "processed"),
        ("duplicate", "duplicate"),
        ("malformed_json", 400),
        ("missing_fields", 400),
        ("signature_invalid", 401),
        ("signature_missing", 401),
    }
    reasons = sorted(entry["reason"] for entry in dead_letters(database))
    expected = sorted(s.expect for s in samples if s.expect not in ("processed", "duplicate"))
    assert reasons == expected
    stored = database["events"].count_documents({})
    assert stored == sum(sample.expect == "processed" for sample in samples)


def test_the_service_processes_every_payload_file(
    mongod_uri: str, database: Database[dict[str, Any]]
) -> None:
    envelopes = {("id", "type"): 0, ("eventId", "eventType"): 0}
    for ids, types in envelopes:
        bodies = [
            path.read_bytes()
            for path in sorted(PAYLOADS.rglob("*.json"))
            if ("eventId-eventType" in path.parts) == (ids == "eventId")
        ]
        fields = {"cxone_id_field": ids, "cxone_type_field": types}
        with running_service(mongod_uri, database.name, **fields) as client:
            words = [client.post(body).json["status"] for body in bodies]
        assert words == ["processed"] * len(bodies)
        envelopes[ids, types] = len(bodies)

    assert database["events"].count_documents({}) == sum(envelopes.values())
    assert min(envelopes.values()) > 0

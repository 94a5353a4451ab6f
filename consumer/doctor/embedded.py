"""Examine the embedded MongoDB, where none of the user's own is set: running, or ready to run."""

from __future__ import annotations

from collections.abc import Iterator

from consumer.doctor import lifetimes
from consumer.doctor.check import Check, Patient
from consumer.errors import SetupError
from consumer.storage.embedded import candidates, locate, version

EMBEDDED = "embedded MongoDB"
_OWN_URI = "for a MongoDB of your own set MONGODB_URI"


def embedded(patient: Patient) -> Iterator[Check]:
    """Nothing where MONGODB_URI is set."""
    if patient.settings.mongodb_uri is not None:
        return
    if patient.client is not None:
        yield Check(
            EMBEDDED, "ok", "MONGODB_URI is not set; the embedded MongoDB is running", _OWN_URI
        )
        return
    try:
        binary = locate(candidates())
    except SetupError as error:
        yield Check(EMBEDDED, "fail", "MONGODB_URI is not set and there is no mongod", str(error))
    else:
        finding = f"MONGODB_URI is not set; `serve --embedded` needs none and runs {binary}"
        yield Check(EMBEDDED, "ok", finding, _OWN_URI)
        today = patient.clock().date()
        old = lifetimes.judge(f"{EMBEDDED} version", version(binary), today, embedded=True)
        if old is not None and old.status != "ok":
            yield old

"""Examine the embedded MongoDB, where none of the user's own is set: running, or ready to run."""

from __future__ import annotations

from collections.abc import Iterator

from consumer.doctor import lifetimes
from consumer.doctor.check import Check, Patient
from consumer.errors import SetupError
from consumer.storage.embedded import candidates, locate, version

NAME = "embedded MongoDB"
_OWN = "for a MongoDB of your own set MONGODB_URI"


def examine(patient: Patient) -> Iterator[Check]:
    """Nothing where MONGODB_URI is set."""
    if patient.settings.mongodb_uri is not None:
        return
    if patient.client is not None:
        yield Check(NAME, "ok", "MONGODB_URI is not set; the embedded MongoDB is running", _OWN)
        return
    try:
        binary = locate(candidates())
    except SetupError as error:
        yield Check(NAME, "fail", "MONGODB_URI is not set and there is no mongod", str(error))
    else:
        finding = f"MONGODB_URI is not set; `serve --embedded` needs none and runs {binary}"
        yield Check(NAME, "ok", finding, _OWN)
        today = patient.clock().date()
        old = lifetimes.judge(f"{NAME} version", version(binary), today, embedded=True)
        if old is not None and old.status != "ok":
            yield old

"""Judge a version of MongoDB: new enough for what the writes rely on, and still mended."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date

from consumer.doctor.check import Check, Patient

VERSION = "MongoDB version"
_OLDEST = (5, 0)
# The last day of each release: https://www.mongodb.com/legal/support-policy/lifecycles, as of May
# 2026. What is not named is newer than this table, and nothing is said of it.
ENDS = {
    (5, 0): date(2024, 10, 31),
    (5, 2): date(2022, 3, 23),
    (5, 3): date(2022, 7, 19),
    (6, 0): date(2025, 7, 31),
    (6, 1): date(2023, 2, 9),
    (6, 2): date(2023, 4, 24),
    (6, 3): date(2023, 8, 31),
    (7, 0): date(2027, 8, 31),
    (7, 1): date(2024, 1, 23),
    (7, 2): date(2024, 3, 27),
    (7, 3): date(2024, 10, 2),
    (8, 0): date(2029, 10, 31),
    (8, 1): date(2025, 9, 30),
    (8, 2): date(2026, 7, 31),
}
_UPGRADE = "upgrade, release by release, to one that MongoDB still mends: 8.0 until October 2029"
# Ours comes from a wheel that nobody renews.
_OWN = (
    "for more than trying out set MONGODB_URI to a MongoDB that is still mended, or put a newer"
    " `mongod` on PATH: it comes first"
)


def supported(patient: Patient) -> Iterator[Check]:
    """The version of the server that answers."""
    assert patient.client is not None  # noqa: S101 - its row needs MongoDB
    text = str(patient.client.server_info()["version"])
    embedded = patient.settings.mongodb_uri is None
    if (check := judge(VERSION, text, patient.clock().date(), embedded=embedded)) is not None:
        yield check


def judge(name: str, text: str, today: date, *, embedded: bool) -> Check | None:
    """Judge a version like `6.0.5` on a day; None for a text that is none."""
    found = re.match(r"(\d+)\.(\d+)", text)
    if found is None:
        return None
    release = (int(found[1]), int(found[2]))
    if release < _OLDEST:
        return Check(name, "fail", text, "upgrade to MongoDB 5.0 or newer")
    end = ENDS.get(release)
    if end is None or today <= end:
        return Check(name, "ok", text)
    ended = f"{text}: past its end of life ({end:%d %B %Y}), no fault of it is mended any more"
    return Check(name, "warn", ended, _OWN if embedded else _UPGRADE)

"""Say which shared secrets still sign deliveries, and whether the previous one can be removed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from consumer.doctor.check import Check, Patient
from consumer.signature import fingerprint
from consumer.storage import mongo
from consumer.storage.secret_use import SecretUse, Use

IN_USE = "secrets in use"
# Senders that speak once a day have spoken by then.
_QUIET = timedelta(hours=24)
_SETTINGS = {"current": "CXONE_SHARED_SECRET", "previous": "CXONE_SHARED_SECRET_PREVIOUS"}


def in_use(patient: Patient) -> Iterator[Check]:
    """One check for each secret that is set."""
    if patient.client is None:
        return
    db = mongo.open_database(patient.client, patient.settings.mongodb_database)
    uses = SecretUse(db[mongo.SECRET_USE])
    known = {secret.name: uses.of(fingerprint(secret.key)) for secret in patient.secrets}
    current, now = known.get("current"), patient.clock()
    for name, use in known.items():
        yield judge_previous(use, current, now) if name == "previous" else judge_current(use, now)


def judge_current(use: Use | None, now: datetime) -> Check:
    setting = _SETTINGS["current"]
    if use is None or use.last_used is None:
        return Check(IN_USE, "ok", f"{setting} has not signed a delivery yet")
    return Check(IN_USE, "ok", f"{setting} {_last(use, use.last_used, now)}")


def judge_previous(use: Use | None, current: Use | None, now: datetime) -> Check:
    """Whether the previous secret can go: it can when it was silent for a day in which the current
    one was used."""
    setting = _SETTINGS["previous"]
    if use is None:
        return Check(IN_USE, "ok", f"{setting} is not known to a running service yet")
    told = f"{setting} has not signed a delivery since it is watched ({_ago(use.since, now)})"
    if use.last_used is not None:
        told = f"{setting} {_last(use, use.last_used, now)}"
        if now - use.last_used < _QUIET:
            return Check(
                IN_USE,
                "warn",
                f"{told}: still in use",
                "change the secret at the sender that still signs with it, and keep this until"
                " 24 h have passed without",
            )
    silent_since = use.last_used or use.since
    if now - silent_since < _QUIET:
        return Check(IN_USE, "ok", told, "keep it until 24 h have passed without")
    if not is_silent(use, current, now):
        advice = "keep it until CXONE_SHARED_SECRET has signed a delivery"
        return Check(IN_USE, "ok", f"{told}, and the current one neither", advice)
    return Check(IN_USE, "ok", f"{told}: no longer in use", f"remove {setting} and restart")


def is_silent(use: Use | None, current: Use | None, now: datetime) -> bool:
    """Whether the previous secret signed nothing for a day in which the current one did; False
    also where that is not known."""
    if use is None or current is None or current.last_used is None:
        return False
    silent_since = use.last_used or use.since
    return now - silent_since >= _QUIET and current.last_used >= silent_since


def _last(use: Use, last_used: datetime, now: datetime) -> str:
    return f"last signed a delivery {_ago(last_used, now)}, {use.deliveries:,} in all"


def _ago(then: datetime, now: datetime) -> str:
    seconds = max(0.0, (now - then).total_seconds())
    for unit, length in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit} ago ({then:%Y-%m-%d %H:%M} UTC)"
    return f"{seconds:.0f} s ago ({then:%Y-%m-%d %H:%M} UTC)"

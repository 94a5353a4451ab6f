"""Examine the shared secrets: set, strong, without stray characters, and still signing."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta

from consumer.doctor.check import Check, Target
from consumer.ingest.signature import Secret, fingerprint
from consumer.mongodb.client import SECRET_USE
from consumer.monitoring.secret_use import SecretUse, Use

NAME = "secret"
IN_USE = "secrets in use"
_SETTINGS = {"current": "CXONE_SHARED_SECRET", "previous": "CXONE_SHARED_SECRET_PREVIOUS"}
_RENEW = "make a new one with `cxone-consumer init --force --new-secret` and enter it at CXone"
# 64 bits take years to guess offline, given one signed body.
_WEAK_BITS = 64
_HOPELESS_BITS = 32
# Senders that speak once a day have spoken by then.
_QUIET = timedelta(hours=24)


def examine(target: Target) -> Iterator[Check]:
    current = next((secret for secret in target.secrets if secret.name == "current"), None)
    if current is None:
        yield Check(
            NAME,
            "fail",
            "CXONE_SHARED_SECRET is not set",
            "run `cxone-consumer init`, or set it to the secret that CXone signs with",
        )
        return
    faults = [check for secret in target.secrets for check in _faults(secret)]
    others = [secret for secret in target.secrets if secret is not current]
    if any(secret.key == current.key for secret in others):
        faults.append(
            Check(
                NAME,
                "warn",
                "CXONE_SHARED_SECRET_PREVIOUS is the same as CXONE_SHARED_SECRET",
                "remove it: it is for the time while CXone changes from one to another",
            )
        )
    yield from faults
    if not faults:
        also = ", and the previous one is valid too" if others else ""
        yield Check(NAME, "ok", f"{len(current.key)} bytes{also}")


def strength(key: bytes) -> float:
    """Bits, by the characters' frequencies: an upper bound, enough to find `changeme`."""
    counts = Counter(key).values()
    return -sum(count * math.log2(count / len(key)) for count in counts)


def _faults(secret: Secret) -> Iterator[Check]:
    key, setting = secret.key, _SETTINGS.get(secret.name, secret.name)
    bits = strength(key)
    if bits < _WEAK_BITS:
        yield Check(
            NAME,
            "fail" if bits < _HOPELESS_BITS else "warn",
            f"{setting} is weak: {len(key)} bytes, about {bits:.0f} bits at most",
            _RENEW,
        )
    if secret.text:
        # Decoded bytes may be any; a stray character in the text is a fault of the settings.
        return
    if key.startswith(b"whsec_"):
        yield Check(
            NAME,
            "warn",
            f"{setting} begins with whsec_, and is used as it is",
            "set CXONE_SECRET_FORMAT=whsec where the sender signs as Standard Webhooks say: with"
            " what is behind it, decoded",
        )
    if key != key.strip(b" \t\r\n"):
        yield Check(
            NAME,
            "warn",
            f"{setting} begins or ends with a blank or newline",
            "remove it, unless CXone has it too: signatures would never match",
        )
    if len(key) > 1 and key[:1] == key[-1:] and key[:1] in b"\"'":
        yield Check(
            NAME, "warn", f"{setting} stands in quotes that are part of it", "remove the quotes"
        )
    if not key.isascii():
        yield Check(
            NAME,
            "warn",
            f"{setting} holds letters beyond ASCII",
            "senders may encode them in another way than UTF-8: use ASCII",
        )


def in_use(target: Target) -> Iterator[Check]:
    """One check for each secret that is set."""
    uses = SecretUse(target.database[SECRET_USE])
    known = {secret.name: uses.of(fingerprint(secret.key)) for secret in target.secrets}
    current, now = known.get("current"), target.clock()
    for name, use in known.items():
        yield judge_previous(use, current, now) if name == "previous" else judge_current(use, now)


def judge_current(use: Use | None, now: datetime) -> Check:
    setting = _SETTINGS["current"]
    if use is None or use.last_used is None:
        return Check(IN_USE, "ok", f"{setting} has not signed a delivery yet")
    return Check(IN_USE, "ok", f"{setting} {_last(use, use.last_used, now)}")


def judge_previous(use: Use | None, current: Use | None, now: datetime) -> Check:
    """Judge whether the previous secret can go: when it was silent for a day in which the current
    one was used."""
    setting = _SETTINGS["previous"]
    if use is None:
        return Check(IN_USE, "ok", f"{setting} is not known to a running service yet")
    finding = f"{setting} has not signed a delivery since it is watched ({_ago(use.since, now)})"
    if use.last_used is not None:
        finding = f"{setting} {_last(use, use.last_used, now)}"
        if now - use.last_used < _QUIET:
            return Check(
                IN_USE,
                "warn",
                f"{finding}: still in use",
                "change the secret at the sender that still signs with it, and keep this until"
                " 24 h have passed without",
            )
    silent_since = use.last_used or use.since
    if now - silent_since < _QUIET:
        return Check(IN_USE, "ok", finding, "keep it until 24 h have passed without")
    if not is_silent(use, current, now):
        advice = "keep it until CXONE_SHARED_SECRET has signed a delivery"
        return Check(IN_USE, "ok", f"{finding}, and the current one neither", advice)
    return Check(IN_USE, "ok", f"{finding}: no longer in use", f"remove {setting} and restart")


def is_silent(use: Use | None, current: Use | None, now: datetime) -> bool:
    """True when the previous secret signed nothing for a day in which the current one did; False
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

"""Examine the shared secret: there, strong, without stray characters, one of two while rotating."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator

from consumer.doctor.check import Check, Patient
from consumer.signature import Secret

NAME = "secret"
_SETTINGS = {"current": "CXONE_SHARED_SECRET", "previous": "CXONE_SHARED_SECRET_PREVIOUS"}
_RENEW = "make a new one with `cxone-consumer init --force --new-secret` and enter it at CXone"
# 64 bits take years to guess offline, given one signed body.
_WEAK_BITS = 64
_HOPELESS_BITS = 32


def examine(patient: Patient) -> Iterator[Check]:
    current = next((secret for secret in patient.secrets if secret.name == "current"), None)
    if current is None:
        yield Check(
            NAME,
            "fail",
            "CXONE_SHARED_SECRET is not set",
            "run `cxone-consumer init`, or set it to the secret that CXone signs with",
        )
        return
    faults = [check for secret in patient.secrets for check in _faults(secret)]
    others = [secret for secret in patient.secrets if secret is not current]
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
    """Bits, by the characters' frequencies: an upper bound, enough to tell `changeme` apart."""
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

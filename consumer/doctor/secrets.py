"""Examine the shared secrets: set, strong, without stray characters, and still signing."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from config.layers import from_toml
from config.signing import MAIN
from consumer.doctor.check import Check, Target
from consumer.ingest.signature import Secret, fingerprint
from consumer.mongodb.client import SECRET_USE
from consumer.monitoring.secret_use import SecretUse, Use
from consumer.runtime.settings_map import shared_secrets

NAME = "secret"
IN_USE = "secrets in use"
_SECRETS = {"secret", "secret_previous"}
# 64 bits take years to guess offline, given one signed body.
_WEAK_BITS = 64
_HOPELESS_BITS = 32
# Senders that speak once a day have spoken by then.
_QUIET = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class _Names:
    """The settings that hold the secrets of a source, the word for what these do, and the advice
    for a weak one; `written` is the setting of their format, "" where they are sent as they are
    written, and `before` begins what is said where no setting is named."""

    current: str
    previous: str
    signed: str
    renew: str
    written: str
    before: str = ""


_MAIN = _Names(
    "CXONE_SHARED_SECRET",
    "CXONE_SHARED_SECRET_PREVIOUS",
    "signed",
    "make a new one with `cxone-consumer init --force --new-secret` and enter it at CXone",
    "CXONE_SECRET_FORMAT=whsec",
)


def examine(target: Target) -> Iterator[Check]:
    if target.settings.cxone_shared_secret is None:
        yield Check(
            NAME,
            "fail",
            "CXONE_SHARED_SECRET is not set",
            "run `cxone-consumer init`, or set it to the secret that CXone signs with",
        )
        return
    for held, settings in _owners(target):
        yield from _judged(held, settings)
    yield from _placed(target)


def _judged(held: Sequence[Secret], settings: _Names) -> Iterator[Check]:
    faults = [check for secret in held for check in _faults(secret, settings)]
    current, *others = held
    if any(secret.key == current.key for secret in others):
        faults.append(
            Check(
                NAME,
                "warn",
                f"{settings.previous} is the same as {settings.current}",
                "remove it: it is for the time while the sender changes from one to another",
            )
        )
    yield from faults
    if not faults:
        also = ", and the previous one is valid too" if others else ""
        yield Check(NAME, "ok", f"{settings.before}{len(current.key)} bytes{also}")


def _placed(target: Target) -> Iterator[Check]:
    """A fault where others on this machine may read the secrets of sources in the config file."""
    path = target.settings.cxone_config
    if path is None or os.name == "nt" or not path.exists() or not path.stat().st_mode & 0o077:
        return
    tables: Any = from_toml(path)[1].get("sources", {})
    named = sorted(name for name, table in tables.items() if _SECRETS & table.keys())
    if named:
        yield Check(
            NAME,
            "warn",
            f"others on this machine may read the secrets of {', '.join(named)} in {path}",
            f"`chmod 600 {path}`, or name a file in secret_file, or use CXONE_SOURCE_…_SECRET",
        )


def strength(key: bytes) -> float:
    """Bits, by the characters' frequencies: an upper bound, enough to find `changeme`."""
    counts = Counter(key).values()
    return sum(count * math.log2(len(key) / count) for count in counts)


def _owners(target: Target) -> Iterator[tuple[Sequence[Secret], _Names]]:
    """The secrets of each source and what is said of them, the main one's first."""
    renew = "make a new one of 32 random bytes and enter it at the sender; this as the previous"
    for name, source in target.settings.every_source.items():
        title, written = f"sources.{name}.secret", f'secret_format = "whsec" in [sources.{name}]'
        names = _Names(title, f"{title}_previous", "signed", renew, written, f"{name}: ")
        names = _MAIN if name == MAIN else names
        if source.credential:
            names = replace(names, signed="proved", written="")
        yield shared_secrets(source), names


def _faults(secret: Secret, settings: _Names) -> Iterator[Check]:
    key = secret.key
    setting = settings.previous if secret.name == "previous" else settings.current
    bits = strength(key)
    if bits < _WEAK_BITS:
        yield Check(
            NAME,
            "fail" if bits < _HOPELESS_BITS else "warn",
            f"{setting} is weak: {len(key)} bytes, about {bits:.0f} bits at most",
            settings.renew,
        )
    if secret.text:
        # Decoded bytes may be any; a stray character in the text is a fault of the settings.
        return
    is_quoted = len(key) > 1 and key[:1] == key[-1:] and key[:1] in b"\"'"
    stray = (
        (
            settings.written != "" and key.startswith(b"whsec_"),
            "begins with whsec_, and is used as it is",
            f"set {settings.written} where the sender signs as Standard Webhooks say: with what is"
            " behind it, decoded",
        ),
        (
            key != key.strip(b" \t\r\n"),
            "begins or ends with a blank or newline",
            "remove it, unless CXone has it too: signatures would never match",
        ),
        (is_quoted, "stands in quotes that are part of it", "remove the quotes"),
        (
            not key.isascii(),
            "holds letters beyond ASCII",
            "senders may encode them in another way than UTF-8: use ASCII",
        ),
    )
    for is_so, finding, advice in stray:
        if is_so:
            yield Check(NAME, "warn", f"{setting} {finding}", advice)


def in_use(target: Target) -> Iterator[Check]:
    """One check for each secret that is set."""
    uses, now = SecretUse(target.database[SECRET_USE]), target.clock()
    for held, settings in _owners(target):
        known = {secret.name: uses.of(fingerprint(secret.key)) for secret in held}
        current = known.get("current")
        for name, use in known.items():
            yield (
                judge_previous(use, current, now, settings)
                if name == "previous"
                else judge_current(use, now, settings)
            )


def judge_current(use: Use | None, now: datetime, settings: _Names = _MAIN) -> Check:
    setting = settings.current
    if use is None or use.last_used is None:
        return Check(IN_USE, "ok", f"{setting} has not {settings.signed} a delivery yet")
    return Check(IN_USE, "ok", f"{setting} {_last(use, use.last_used, now, settings)}")


def judge_previous(
    use: Use | None, current: Use | None, now: datetime, settings: _Names = _MAIN
) -> Check:
    """Judge whether the previous secret can go: when it was silent for a day in which the current
    one was used."""
    setting = settings.previous
    if use is None:
        return Check(IN_USE, "ok", f"{setting} is not known to a running service yet")
    since = _ago(use.since, now)
    finding = f"{setting} has not {settings.signed} a delivery since it is watched ({since})"
    if use.last_used is not None:
        finding = f"{setting} {_last(use, use.last_used, now, settings)}"
        if now - use.last_used < _QUIET:
            return Check(
                IN_USE,
                "warn",
                f"{finding}: still in use",
                "change the secret at the sender that still uses it, and keep this until"
                " 24 h have passed without",
            )
    silent_since = use.last_used or use.since
    if now - silent_since < _QUIET:
        return Check(IN_USE, "ok", finding, "keep it until 24 h have passed without")
    if not is_silent(use, current, now):
        advice = f"keep it until {settings.current} has {settings.signed} a delivery"
        return Check(IN_USE, "ok", f"{finding}, and the current one neither", advice)
    return Check(IN_USE, "ok", f"{finding}: no longer in use", f"remove {setting} and restart")


def is_silent(use: Use | None, current: Use | None, now: datetime) -> bool:
    """True when the previous secret signed nothing for a day in which the current one did; False
    also where that is not known."""
    if use is None or current is None or current.last_used is None:
        return False
    silent_since = use.last_used or use.since
    return now - silent_since >= _QUIET and current.last_used >= silent_since


def _last(use: Use, last_used: datetime, now: datetime, settings: _Names) -> str:
    return f"last {settings.signed} a delivery {_ago(last_used, now)}, {use.deliveries:,} in all"


def _ago(then: datetime, now: datetime) -> str:
    seconds = max(0.0, (now - then).total_seconds())
    for unit, length in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit} ago ({then:%Y-%m-%d %H:%M} UTC)"
    return f"{seconds:.0f} s ago ({then:%Y-%m-%d %H:%M} UTC)"

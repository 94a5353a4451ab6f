"""Put mutated deliveries through the real ingest over a real MongoDB, and check each end with an
oracle of its own: `python -m tests.faults.fuzz URI DATABASE COUNT SEED` prints the figures."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from config import loading as configuration
from config import logs
from consumer.core.clock import utc_now
from consumer.core.delivery import Delivery
from consumer.core.errors import ConsumerError, Rejected, SignatureError, place_of
from consumer.mongodb.client import DEAD_LETTERS, EVENTS
from consumer.mongodb.indexes import create_indexes
from consumer.runtime.shared import SharedParts, build_shared
from tests.faults.mutations import Mutator, spoil

KEYS = (b"the secret of now", b"the secret before")
HEADER = "X-Nice-Webhook-Signature"
WORKERS = 8

Headers = dict[str, str]


@dataclass(frozen=True, slots=True)
class Variant:
    """A way to sign: its settings, and what the specification says it is, written here anew."""

    settings: Mapping[str, str]
    signed: Callable[[bytes, bytes], Headers]
    valid: Callable[[Mapping[str, str], bytes], bool]


def _base64(key: bytes, body: bytes) -> str:
    return base64.b64encode(hmac.new(key, body, hashlib.sha256).digest()).decode()


def _is_base64(headers: Mapping[str, str], body: bytes) -> bool:
    given = headers.get(HEADER, "").strip(" \t")
    return any(given == _base64(key, body) for key in KEYS)


def _hex(key: bytes, body: bytes) -> str:
    return "sha256=" + hmac.new(key, body, hashlib.sha256).hexdigest()


def _is_hex(headers: Mapping[str, str], body: bytes) -> bool:
    given = headers.get(HEADER, "").strip(" \t")
    return given[:7] == "sha256=" and any(given[7:].lower() == _hex(key, body)[7:] for key in KEYS)


def _stamped(key: bytes, body: bytes, at: str | None = None) -> Headers:
    stamp = str(int(time.time())) if at is None else at
    return {"X-Time": stamp, HEADER: _base64(key, stamp.encode() + b"." + body)}


def _is_timely(stamp: str) -> bool:
    if not stamp or len(stamp) > 17 or any(digit not in "0123456789" for digit in stamp):
        return False
    seconds = int(stamp) / (1000 if int(stamp) >= 10**11 else 1)
    return abs(time.time() - seconds) <= 300


def _is_stamped(headers: Mapping[str, str], body: bytes) -> bool:
    stamp, given = headers.get("X-Time", "").strip(" \t"), headers.get(HEADER, "").strip(" \t")
    signed = stamp.encode() + b"." + body
    return _is_timely(stamp) and any(given == _base64(key, signed) for key in KEYS)


def _listed(key: bytes, body: bytes) -> Headers:
    number, stamp = f"msg_{len(body)}", str(int(time.time()))
    signature = _base64(key, f"{number}.{stamp}.".encode() + body)
    return {"X-Number": number, "X-Time": stamp, HEADER: f"v1,AAAA v1,{signature}"}


def _is_listed(headers: Mapping[str, str], body: bytes) -> bool:
    number, stamp = (headers.get(name, "").strip(" \t") for name in ("X-Number", "X-Time"))
    signed = f"{number}.{stamp}.".encode("latin-1", "replace") + body
    right = {_base64(key, signed) for key in KEYS}
    given = re.findall(r"(?:^|[ \t,])v1,([^ \t,]+)", headers.get(HEADER, ""))
    return bool(number) and "." not in number and _is_timely(stamp) and not right.isdisjoint(given)


VARIANTS = (
    Variant({}, lambda key, body: {HEADER: _base64(key, body)}, _is_base64),
    Variant(
        {"CXONE_SIGNATURE_ENCODING": "hex", "CXONE_SIGNATURE_PREFIX": "sha256="},
        lambda key, body: {HEADER: _hex(key, body)},
        _is_hex,
    ),
    Variant(
        {"CXONE_SIGNED_CONTENT": "timestamp.body", "CXONE_TIMESTAMP_HEADER": "X-Time"},
        _stamped,
        _is_stamped,
    ),
    Variant(
        {
            "CXONE_SIGNATURE_PREFIX": "v1,",
            "CXONE_SEVERAL_SIGNATURES": "on",
            "CXONE_SIGNED_CONTENT": "{id}.{timestamp}.{body}",
            "CXONE_TIMESTAMP_HEADER": "X-Time",
            "CXONE_SIGNED_ID_HEADER": "X-Number",
        },
        _listed,
        _is_listed,
    ),
)


@dataclass(slots=True)
class Figures:
    """Ends of the deliveries of one worker; `faults` are broken promises."""

    ends: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    stored: set[str] = field(default_factory=set)
    kept: set[str] = field(default_factory=set)
    slowest: float = 0.0

    def add(self, other: Figures) -> None:
        self.ends += other.ends
        self.faults += other.faults
        self.stored |= other.stored
        self.kept |= other.kept
        self.slowest = max(self.slowest, other.slowest)


def headers_for(variant: Variant, good: bytes, body: bytes, chance: random.Random) -> Headers:
    """Headers for a mutated body; more than half of them sign it rightly."""
    key = KEYS[chance.random() < 0.1]
    right = variant.signed(key, body)
    match chance.randrange(12):
        case 0:
            return variant.signed(key, good)
        case 1:
            return variant.signed(bytes([chance.randrange(256)]) + key, body)
        case 2 | 3:
            return {**right, HEADER: spoil(right[HEADER], chance)}
        case 4:
            return chance.choice(({}, {HEADER: ""}, {"X-Time": right.get("X-Time", "")}))
        case 5 if "X-Time" in right:
            stamp = chance.choice(("0", "", "-1", "١٢٣", "9" * 17, "9" * 30, "1e9", " 5 "))
            early = str(int(time.time()) - chance.choice((200, 400, 10**6)))
            late = str(int(time.time() * 1000))
            return (
                _stamped(key, body, chance.choice((early, late)))
                if stamp == "0"
                else {**right, "X-Time": stamp}
            )
        case _:
            return right


def work(cores: list[SharedParts], seed: int, count: int) -> Figures:
    """Put `count` deliveries through, drawn from the seed."""
    figures, mutator = Figures(), Mutator(seed)
    for number in range(count):
        which = mutator.random.randrange(len(VARIANTS))
        good, body = mutator.body()
        headers = headers_for(VARIANTS[which], good, body, mutator.random)
        started = time.perf_counter()
        end = _end(cores[which], VARIANTS[which], headers, body, figures)
        figures.slowest = max(figures.slowest, time.perf_counter() - started)
        figures.ends[end] += 1
        if end.startswith("fault") and len(figures.faults) < 20:
            figures.faults.append(f"seed {seed} number {number}: {end}: {body[:300]!r}")
    return figures


def _end(
    shared: SharedParts, variant: Variant, headers: Headers, body: bytes, figures: Figures
) -> str:
    valid = variant.valid(headers, body)
    digest = hashlib.sha256(body).hexdigest()
    try:
        outcome = shared.ingest.receive(Delivery(f"{id(body)}", body, headers, utc_now()))
    except SignatureError as error:
        return "fault: refused although signed" if valid else error.reason
    except Rejected as error:
        figures.kept.add(digest)
        return error.reason if valid else "fault: accepted although not signed"
    except ConsumerError as error:
        return f"fault: {error.reason}: {error}"
    except Exception as error:  # the very thing that is looked for
        return f"fault: {type(error).__name__} {place_of(error)}"
    (figures.kept if outcome.status == "held" else figures.stored).add(digest)
    return outcome.status if valid else "fault: accepted although not signed"


def run(uri: str, database: str, count: int, seed: int) -> dict[str, Any]:
    """The figures of a whole run; `faults` is empty when every promise was kept."""
    started = time.monotonic()
    cores = []
    for variant in VARIANTS:
        given = {
            "CXONE_SHARED_SECRET": KEYS[0].decode(),
            "CXONE_SHARED_SECRET_PREVIOUS": KEYS[1].decode(),
            "MONGODB_DATABASE": database,
            "CXONE_STORE_TIMEOUT": "60s",
            **variant.settings,
        }
        shared = build_shared(configuration.load(given, {}), uri)
        shared.refusals.start()
        cores.append(shared)
    create_indexes(cores[0].database)
    figures, before = Figures(), _resident()
    with ThreadPoolExecutor(WORKERS) as pool:
        shares = [count // WORKERS + (n < count % WORKERS) for n in range(WORKERS)]
        jobs = [pool.submit(work, cores, seed * WORKERS + n, s) for n, s in enumerate(shares)]
        for job in jobs:
            figures.add(job.result())
    figures.faults += _losses(cores[0], figures)
    for shared in cores:
        shared.refusals.stop(5)
        shared.close()
    seconds = time.monotonic() - started
    return {
        "deliveries": count,
        "seconds": round(seconds, 1),
        "ends": dict(figures.ends.most_common()),
        "distinct_bodies_stored": len(figures.stored),
        "distinct_bodies_kept": len(figures.kept),
        "slowest_seconds": round(figures.slowest, 3),
        "resident_mib": [before, _resident()],
        "faults": figures.faults[:20],
    }


def _losses(shared: SharedParts, figures: Figures) -> list[str]:
    """Deliveries that were accepted and are nowhere, and those that only the last net caught."""
    events, letters = shared.database[EVENTS], shared.database[DEAD_LETTERS]
    stored = {one["_meta"]["digest"] for one in events.find({}, {"_meta.digest": 1})}
    kept = {one["digest"] for one in letters.find({}, {"digest": 1})}
    unexpected = letters.find(
        {"reason": "store_error"}, {"error_message": 1, "original_payload": 1}
    )
    return [
        *(f"answered as stored, but not there: {digest}" for digest in figures.stored - stored),
        *(f"answered as kept, but not there: {digest}" for digest in figures.kept - kept),
        *(f"{one['error_message']}: {one['original_payload'][:300]!r}" for one in unexpected),
    ]


def _resident() -> int | None:
    """MiB of memory this process has; None where the system does not tell it like Linux."""
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) // 1024


if __name__ == "__main__":
    logs.configure("error", "json", sys.stderr)
    uri, database, count, seed = sys.argv[1:]
    json.dump(run(uri, database, int(count), int(seed)), sys.stdout, indent=1)

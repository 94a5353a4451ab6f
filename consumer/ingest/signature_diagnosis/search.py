"""Try keys, timestamps and bodies against what the headers claim, the fewest differences first."""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Sequence

from consumer.core.delivery import Delivery
from consumer.ingest.signature import Secret, SignatureScheme
from consumer.ingest.signature_diagnosis.bodies import bodies
from consumer.ingest.signature_diagnosis.claims import ALGORITHMS, Claim, claims, ordered
from consumer.ingest.signature_diagnosis.findings import Finding, Remark, finding
from consumer.ingest.signature_diagnosis.keys import SETTINGS, Key, keys
from consumer.ingest.signature_diagnosis.timestamps import SignedTime, signed_times

# What may be hashed for one delivery: under 10 ms where SHA-256 has hardware support. Each attempt
# also costs as much as hashing 1,500 bytes.
_BUDGET = 8 * 1024 * 1024
_ATTEMPT = 1500

_Signed = tuple[str, bytes]


def investigate(
    delivery: Delivery, scheme: SignatureScheme, secrets: Sequence[Secret]
) -> Finding | None:
    """The reason why a refused delivery does not verify; None when no variant known here would.

    It judges, it never accepts. `delivery.headers` iterates over all headers worth a look. The work
    is bounded whatever the delivery holds: about 10 ms for 100 KB; then the rarer variants go
    untried.
    """
    for secret in secrets:
        for _name, value in ordered(delivery.headers, scheme.header):
            shown = value.split(" ")[-1].encode("latin-1", "replace")
            if any(
                each and hmac.compare_digest(shown, each)
                for each in (secret.key, secret.text.encode())
            ):
                return Finding(
                    "secret",
                    f"a header carries the secret of {SETTINGS[secret.name]} itself instead of a"
                    " signature: let the sender sign, and replace the secret, for it travelled",
                )
    claimed = claims(delivery.headers, scheme)
    if not claimed:
        return None
    spent = 0
    for key, time, (what, body) in _attempts(delivery, scheme, secrets):
        signed = time.before + body + time.after
        for algorithm in sorted({ALGORITHMS[len(claim.digest)] for claim in claimed}):
            spent += len(signed) + _ATTEMPT
            if spent > _BUDGET:
                return None
            digest = hmac.digest(key.value, signed, algorithm)
            for claim in claimed:
                if hmac.compare_digest(digest, claim.digest):
                    return _found(claim, algorithm, key, time, what)
    return None


def _attempts(
    delivery: Delivery, scheme: SignatureScheme, secrets: Sequence[Secret]
) -> Iterator[tuple[Key, SignedTime, _Signed]]:
    """Everything as configured, then one difference, then two; the commonest of each first."""
    all_keys = keys(secrets)
    own = [key for key in all_keys if not (key.settings or key.remarks)]
    other = all_keys[len(own) :]
    time, *other_times = signed_times(delivery.headers, scheme, delivery.received_at)
    body = ("", delivery.body)
    yield from ((key, time, body) for key in own)
    other_bodies = list(bodies(delivery.body))
    one: list[tuple[int, Key, SignedTime, _Signed]] = []
    one.extend((rank, key, time, body) for rank, key in enumerate(other))
    one.extend((rank, key, s, body) for rank, s in enumerate(other_times) for key in own)
    one.extend((rank, key, time, b) for rank, b in enumerate(other_bodies) for key in own)
    yield from _by_rank(one)
    two: list[tuple[int, Key, SignedTime, _Signed]] = []
    for rank, key in enumerate(other):
        two.extend((rank + r, key, s, body) for r, s in enumerate(other_times))
        two.extend((rank + r, key, time, b) for r, b in enumerate(other_bodies))
    for rank, s in enumerate(other_times):
        two.extend((rank + r, key, s, b) for r, b in enumerate(other_bodies) for key in own)
    yield from _by_rank(two)


def _by_rank(
    attempts: list[tuple[int, Key, SignedTime, _Signed]],
) -> Iterator[tuple[Key, SignedTime, _Signed]]:
    for _rank, key, time, body in sorted(attempts, key=lambda attempt: attempt[0]):
        yield key, time, body


def _found(claim: Claim, algorithm: str, key: Key, time: SignedTime, what: str) -> Finding | None:
    remarks = [*claim.remarks, *time.remarks, *key.remarks]
    if algorithm != "sha256":
        name = "SHA-" + algorithm.removeprefix("sha")
        text = f"the sender uses HMAC-{name}; this service takes HMAC-SHA-256 only: change it there"
        remarks.append(Remark("unsupported", text))
    if what:
        remarks.append(
            Remark(
                "body",
                f"a proxy rewrites the body, or the sender signs other bytes than it sends: it"
                f" verifies as {what}",
            )
        )
    return finding([*claim.settings, *time.settings, *key.settings], remarks)

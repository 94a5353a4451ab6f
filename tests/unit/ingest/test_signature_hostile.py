"""Requests near to signed ones, against an oracle that knows what was signed, and reads anew what
the settings say."""

from __future__ import annotations

import base64
import hashlib
import hmac
import random
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import pytest

from consumer.core.delivery import Delivery
from consumer.core.errors import SignatureError
from consumer.http.headers import EnvironHeaders
from consumer.ingest.signature import Secret, SignatureScheme, sign, verify

NOW = datetime(2026, 5, 1, 12, tzinfo=timezone.utc)
KEYS = {"current": b"the secret of now", "previous": b"\x00\xff the one before"}
SECRETS = tuple(Secret(name, key) for name, key in KEYS.items())
SIGNATURE, TIME, NUMBER = "X-Signature", "X-Time", "X-Number"
REQUESTS = 30_000

Headers = dict[str, str]
Signed = tuple[str, str, bytes]
# What a template makes of id and time, written here anew.
FORMS: dict[str, Callable[[str, str], str]] = {
    "body": lambda number, stamp: "",
    "timestamp.body": lambda number, stamp: f"{stamp}.",
    "{id}.{timestamp}.{body}": lambda number, stamp: f"{number}.{stamp}.",
    "v0:{timestamp}:{id}:{body}": lambda number, stamp: f"v0:{stamp}:{number}:",
    "{id} {body}": lambda number, stamp: f"{number} ",
    "v1 {body}": lambda number, stamp: "v1 ",
}


def scheme(**given: object) -> SignatureScheme:
    named = {"header": SIGNATURE, "timestamp_header": TIME, "id_header": NUMBER}
    return SignatureScheme(**{**named, **given})  # type: ignore[arg-type]


SCHEMES = (
    scheme(),
    scheme(encoding="hex", prefix="sha256="),
    scheme(encoding="hex", prefix="sha256=", signed="timestamp.body"),
    scheme(prefix="v1,", signed="{id}.{timestamp}.{body}", several=True),
    scheme(encoding="base64url", signed="{id} {body}"),
    scheme(encoding="base64-unpadded", several=True, signed="v1 {body}"),
    scheme(encoding="hex", prefix="v1=", several=True, signed="v0:{timestamp}:{id}:{body}"),
    scheme(encoding="base64url", prefix="a b", several=True, signed="timestamp.body"),
)


def texts(digest: bytes, encoding: str) -> set[str]:
    """Every way in which a digest may be written."""
    full = base64.b64encode(digest).decode()
    url = full.replace("+", "-").replace("/", "_")
    return {
        "base64": {full},
        "base64-unpadded": {full, full.rstrip("=")},
        "base64url": {url, url.rstrip("=")},
        "hex": {digest.hex()},
    }[encoding]


def claimed(value: str, wanted: SignatureScheme) -> list[str]:
    """The signatures that a header claims, without their prefix; none where they are too many."""
    value, prefix = value.strip(" \t"), wanted.prefix
    if not wanted.several:
        return [value[len(prefix) :]] if value.startswith(prefix) else []
    found, at = [], 0
    while at < len(value):
        if (at == 0 or value[at - 1] in " \t,") and value.startswith(prefix, at):
            begin = end = at + len(prefix)
            while end < len(value) and value[end] not in " \t,":
                end += 1
            if end > begin:
                found.append(value[begin:end])
                at = end
                continue
        at += 1
    return found if len(found) <= 16 else []


def is_right(headers: Headers, body: bytes, wanted: SignatureScheme) -> bool:
    stamp, number = (headers.get(name, "").strip(" \t") for name in (TIME, NUMBER))
    if "timestamp" in wanted.signed:
        if not 0 < len(stamp) <= 17 or set(stamp) - set("0123456789"):
            return False
        seconds = int(stamp) / (1000 if int(stamp) >= 10**11 else 1)
        if abs(NOW.timestamp() - seconds) > 300:
            return False
    if "{id}" in wanted.signed:
        ends = wanted.signed.partition("{id}")[2][0]
        if not number or "." in number or ends in number:
            return False
    before = FORMS[wanted.signed](number, stamp).encode("latin-1")
    given = claimed(headers.get(SIGNATURE, ""), wanted)
    if wanted.encoding == "hex":
        given = [each.lower() for each in given]
    right: set[str] = set()
    for key in KEYS.values():
        right |= texts(hmac.new(key, before + body, hashlib.sha256).digest(), wanted.encoding)
    return not right.isdisjoint(given)


class Hand:
    """A seeded hand that signs, and spoils what it signed; `signed` is all that it signed."""

    def __init__(self, seed: int, wanted: SignatureScheme) -> None:
        self.chance = random.Random(seed)
        self.wanted = wanted
        self.signed: set[Signed] = set()

    def make(self) -> tuple[Headers, bytes]:
        headers, body = self.good()
        for _ in range(self.chance.choice((0, 1, 1, 1, 2, 3))):
            headers, body = self.spoil(headers, body)
        return headers, body

    def good(self) -> tuple[Headers, bytes]:
        chance = self.chance
        stamp = str(int(NOW.timestamp()) + chance.choice((0, 0, -299, 300, 301, -9999)))
        body = chance.choice(
            (b"{}", b'{"id":7}', f'{stamp}.{{"a":1}}'.encode(), chance.randbytes(9))
        )
        key = chance.choice((*KEYS.values(), *KEYS.values(), b"", b"the secret of now\n"))
        headers = sign(self.wanted, key, body, datetime.fromtimestamp(int(stamp), timezone.utc))
        if key in KEYS.values():
            self.signed.add((headers.get(NUMBER, ""), headers.get(TIME, ""), body))
        return headers, body

    def spoil(self, headers: Headers, body: bytes) -> tuple[Headers, bytes]:
        chance, headers = self.chance, dict(headers)
        name = chance.choice(list(headers)) if headers else SIGNATURE
        value = headers.get(name, "")
        at = chance.randrange(len(value) + 1)
        match chance.randrange(14):
            case 0:
                headers[name] = value[:at] + chr(chance.randrange(256)) + value[at + 1 :]
            case 1:
                headers[name] = value[:at] + value[at + chance.randrange(3) :]
            case 2:
                headers[name] = chance.choice((value.upper(), value.lower(), value.swapcase()))
            case 3:
                headers[name] = chance.choice((value.rstrip("="), value + "=", value + "=="))
            case 4:
                headers[name] = value.translate(str.maketrans("+/-_", "-_+/"))
            case 5:
                headers[name] = chance.choice((" ", "\t", "  ", ", ", ",", ".")) + value
            case 6:
                headers[name] = value + chance.choice((" ", "\t", ",", ";", "\0", "\n", ".", "0"))
            case 7:
                headers.pop(name, None)
            case 8:
                body = body[:at] + bytes([chance.randrange(256)]) + body[at + 1 :]
            case 9:
                body = chance.choice((body + b"\n", body[:-1], b" " + body, b""))
            case 10:
                return self._moved(headers, body)
            case 11:
                return self._listed(headers), body
            case 12:
                stamp = headers.get(TIME, "")
                stamp = chance.choice((f"{stamp}000", f"0{stamp}", stamp[:-1], "١٢٣", "1e9", "-1"))
                headers[TIME] = stamp.encode().decode("latin-1")
            case _:
                other, _ = self.good()
                headers[name] = other.get(name, "")
        return headers, body

    def _moved(self, headers: Headers, body: bytes) -> tuple[Headers, bytes]:
        """The same signed bytes, cut in other places: what is between moves from one to another."""
        signed = FORMS[self.wanted.signed](headers.get(NUMBER, ""), headers.get(TIME, ""))
        whole = signed.encode("latin-1") + body
        cuts = [n for n, byte in enumerate(whole) if byte in b". :"]
        if not cuts or NUMBER not in headers:
            cut = self.chance.randrange(1, 4)
            moved = headers.get(TIME, "")[-cut:].encode("latin-1")
            return {**headers, TIME: headers.get(TIME, "")[:-cut]}, moved + body
        first, second = sorted(self.chance.choices(cuts, k=2))
        number, stamp = whole[:first], whole[first + 1 : second]
        if self.wanted.signed.startswith("v0"):
            stamp, number = number[3:], stamp
        moves = {NUMBER: number.decode("latin-1"), TIME: stamp.decode("latin-1")}
        return {**headers, **moves}, whole[second + 1 :]

    def _listed(self, headers: Headers) -> Headers:
        chance, value = self.chance, headers.get(SIGNATURE, "")
        prefix, between = self.wanted.prefix, chance.choice((" ", ",", ", ", "\t", ";", "  ,"))
        others = [
            chance.choice((f"{prefix}x", f"v2,{value}", prefix, value, f"{prefix}{prefix}{value}"))
            for _ in range(chance.choice((1, 1, 2, 14, 15, 16, 17)))
        ]
        others.insert(chance.randrange(len(others) + 1), value)
        return {**headers, SIGNATURE: between.join(others)[:1024]}


def judged(headers: Headers, body: bytes, wanted: SignatureScheme) -> bool:
    environ = {f"HTTP_{name.upper().replace('-', '_')}": text for name, text in headers.items()}
    try:
        verdict = verify(Delivery("d", body, EnvironHeaders(environ), NOW), wanted, SECRETS, NOW)
    except SignatureError:
        return False
    assert verdict.secret in KEYS
    return True


@pytest.mark.parametrize("wanted", SCHEMES, ids=lambda each: f"{each.signed} {each.encoding}")
def test_mutated_requests_are_accepted_only_when_they_were_signed_so(
    wanted: SignatureScheme,
) -> None:
    hand, ends = Hand(7, wanted), Counter[bool]()
    for _ in range(REQUESTS // len(SCHEMES)):
        headers, body = hand.make()
        accepted = judged(headers, body, wanted)
        assert accepted == is_right(headers, body, wanted), (headers, body)
        if accepted:
            values = (headers.get(name, "").strip(" \t") for name in (NUMBER, TIME))
            parts = zip(("{id}", "timestamp"), values, strict=True)
            number, stamp = (text if part in wanted.signed else "" for part, text in parts)
            assert (number, stamp, body) in hand.signed
        ends[accepted] += 1
    # Else it would have tried nothing.
    assert min(ends[True], ends[False]) > 300


def test_what_one_scheme_signs_is_right_for_no_other() -> None:
    for theirs in SCHEMES:
        headers = sign(theirs, KEYS["current"], b"{}", NOW - timedelta(seconds=1))

        assert [wanted for wanted in SCHEMES if judged(headers, b"{}", wanted)] == [theirs]

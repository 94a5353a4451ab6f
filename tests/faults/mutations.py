"""Make hostile bodies and signatures out of good ones, the same again for the same seed."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Sequence
from typing import Any

from tests.support.places import PAYLOADS

# What parsers, schemas and BSON stumble over.
TOKENS = (
    *b"null true false 0 -0 1.0 1e400 -1e400 1e-400 NaN Infinity -Infinity".split(),
    *b"01 +1 .5 1. 0x10".split(),
    *b'{} [] "" " { } [ ] , : \\ // /* [[[[[[ {"a":{"a":{"a": "$ref" "$id" "_id" "_meta"'.split(),
    *b'"id" "type" "schema_version" "processed_at" "$where" "$$NOW" "a.b" "*" "[]" "0"'.split(),
    *(b"9" * 19, b"9" * 35, b"-9223372036854775809", b"18446744073709551616", b"9" * 5000),
    *(b"\0", b"\x1f", b"\x7f", b"\x80", b"\xff", b"\xfe\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80"),
    *(b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\u0000"', b'"a\\u0000":1,', b'"\\x"', b'"\\u12"'),
    *(b"\r\n", b"\t", b" " * 300, b"\xc0\x80", b"\xf4\x90\x80\x80", "\u202e\U0001f426".encode()),
    *(b'"id":1,', b'"type":"t",', b'"id":null,', b'"type":7,', b'"type":[],', b'"id":1.5,'),
    *(b'{"a\\u0000":1}', b'{"\\ud800":1}', b"[" * 120 + b"]" * 120, b"[" * 90 + b"]" * 90),
)
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.5, 2**31, 2**63, 2**64, 10**34, 10**40, "", "x", "\0", "2024"),
    *([], {}, [None], [[]], [{}], {"": 1}, {"a.b": 1}, {"$x": 1}, [1, "a", None, {"b": []}]),
    *({str(n): n for n in range(150)}, [[[[[[[[[[1]]]]]]]]]], "long " * 500, list(range(300))),
)
_SCALAR = re.compile(rb'(?<=[:\[,]) *(?:"[^"\\]*"|-?\d[\d.]*|true|false|null)(?= *[,}\]\r\n])')


def corpus() -> list[bytes]:
    """Good events, and some that are large or deep."""
    events = [path.read_bytes() for path in sorted(PAYLOADS.rglob("*.json"))]
    keys = ",".join(f'"k{n}":{n}' for n in range(2000))
    return [
        *events,
        b'{"id":"1","type":"t"}',
        b'{"id":1,"id":2,"type":"a","type":"b"}',
        b'{"id":"many","type":"many",%s}' % keys.encode(),
        b'{"id":"deep","type":"deep","x":' + b"[" * 60 + b"]" * 60 + b"}",
        b'{"id":"deeper","type":"deep","x":' + b'{"a":' * 300 + b"1" + b"}" * 300 + b"}",
        b'{"id":"deepest","type":"deep","x":' + b"[" * 20_000 + b"]" * 20_000 + b"}",
    ]


class Mutator:
    """A seeded source of bodies; most are near to good ones."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self._corpus = corpus()
        self._ways: tuple[Callable[[bytes], bytes], ...] = (
            self._flip,
            self._cut,
            self._insert,
            self._repeat,
            self._splice,
            self._replace,
            self._replace,
            self._replace,
            self._rewrite,
            self._rewrite,
            self._rewrite,
            self._rewrite,
        )

    def body(self) -> tuple[bytes, bytes]:
        """A good body and what became of it; now and then nothing."""
        chance = self.random
        # The large ones are last, and cost as much as a hundred others.
        last = len(self._corpus) - (0 if chance.random() < 0.02 else 4)
        good = body = self._corpus[chance.randrange(last)]
        for _ in range(chance.choice((0, 1, 1, 1, 2, 2, 3, 5))):
            body = chance.choice(self._ways)(body)
        return good, body

    def _flip(self, body: bytes) -> bytes:
        if not body:
            return b"\xff"
        at = self.random.randrange(len(body))
        changed = body[at] ^ (1 << self.random.randrange(8))
        return body[:at] + bytes([changed]) + body[at + 1 :]

    def _cut(self, body: bytes) -> bytes:
        start, end = sorted(self.random.randrange(len(body) + 1) for _ in range(2))
        if self.random.random() < 0.7:
            end = min(end, start + 20)
        return body[:start] + body[end:]

    def _insert(self, body: bytes) -> bytes:
        at = self.random.randrange(len(body) + 1)
        return body[:at] + self.random.choice(TOKENS) + body[at:]

    def _repeat(self, body: bytes) -> bytes:
        start = self.random.randrange(len(body) + 1)
        piece = body[start : start + self.random.randrange(1, 60)]
        return body[:start] + piece * self.random.randrange(2, 6) + body[start:]

    def _splice(self, body: bytes) -> bytes:
        other = self._corpus[self.random.randrange(len(self._corpus) - 4)]
        return (
            body[: self.random.randrange(len(body) + 1)]
            + other[self.random.randrange(len(other)) :]
        )

    def _replace(self, body: bytes) -> bytes:
        """Another token in the place of a value."""
        scalars = list(_SCALAR.finditer(body[:20_000]))
        if not scalars:
            return self._insert(body)
        found = self.random.choice(scalars)
        return body[: found.start()] + self.random.choice(TOKENS) + body[found.end() :]

    def _rewrite(self, body: bytes) -> bytes:
        """Another value, key or place inside JSON that stays JSON."""
        try:
            payload = json.loads(body)
        except (ValueError, RecursionError):
            return self._insert(body)
        if not isinstance(payload, dict) or len(body) > 20_000:
            return self._flip(body)
        target = payload
        while self.random.random() < 0.5:
            inner = [value for value in target.values() if isinstance(value, dict) and value]
            if not inner:
                break
            target = self.random.choice(inner)
        self._change(payload, target)
        return json.dumps(payload, ensure_ascii=self.random.random() < 0.5).encode(
            "utf-8", "surrogatepass"
        )

    def _change(self, payload: dict[str, Any], target: dict[str, Any]) -> None:
        chance = self.random
        key = chance.choice(list(target)) if target else "new"
        match chance.randrange(4):
            case 0:
                target[key] = chance.choice(VALUES)
            case 1:
                target.pop(key, None)
            case 2:
                target[f"{key}{chance.choice(('', '.', '$', '_2', ' '))}"] = chance.choice(VALUES)
            case _:
                payload["id"] = chance.choice((str(chance.random()), chance.choice(VALUES)))


def spoil(text: str, chance: random.Random) -> str:
    """A signature with one thing wrong, or only written in another way."""
    at = chance.randrange(len(text)) if text else 0
    ways: Sequence[str] = (
        text[:at] + chance.choice("Aa0+/=\xff \t\0\u00e4-") + text[at + 1 :],
        text[:at] + text[at + 1 :],
        text[:at],
        text + chance.choice(("=", " ", "\t", "\0", ",", "A", "\n")),
        f"{text}, {text}",
        text.swapcase(),
        text.upper(),
        f" {text}\t",
        "",
        " ",
        "\xff" * 44,
        "=" * 44,
        f"sha256={text}",
        text[::-1],
    )
    return chance.choice(ways)

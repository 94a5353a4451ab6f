"""Make requests of all kinds of proof, right ones and near misses, the same again for a seed."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from tests.faults.proof_oracle import Oracle, Sender, minted

STANDARD = b"a key as Standard Webhooks have it"
SETTINGS = f"""
[sources.expert]
header = "X-Nexus-Signature-256"
encoding = "hex"
prefix = "sha256="
signed = "timestamp.body"
timestamp_header = "X-Nexus-Timestamp"
secret = "a secret of expert, current"
secret_previous = "a secret of expert, previous"
id = "header:X-Nexus-Delivery-Id"
type = "header:X-Nexus-Event-Type"
subject_prefix = "expert."

[sources.standard]
header = "Webhook-Signature"
prefix = "v1,"
several = "on"
signed = "{{id}}.{{timestamp}}.{{body}}"
timestamp_header = "Webhook-Timestamp"
id_header = "Webhook-Id"
secret_format = "whsec"
secret = "whsec_{base64.b64encode(STANDARD).decode()}"
id = "header:Webhook-Id"

[sources.slack]
path = "/from/slack/"
header = "X-Slack-Signature"
encoding = "base64url"
prefix = "v0="
signed = "v0:{{timestamp}}:{{body}}"
timestamp_header = "X-Slack-Time"
secret = "a secret of slack"

[sources.voice]
proof = "token"
header = "X-Api-Key"
secret = "a token of voice, current"
secret_previous = "a token of voice, previous"
id = ["contactId", "/call/sequence"]
type = "const:ivr.log"

[sources.bearer]
proof = "token"
secret = "a-token-of-bearer-current"

[sources.desk]
proof = "basic"
user = "the desk"
secret = "a pass:word of the desk"
secret_previous = "a password of the desk before"
id = "header:X-Event-Id"
type = "header:X-Event-Type"

[sources.hub]
proof = "oauth2"
secret = "a client secret of hub"
secret_previous = "a client secret before"
"""
MAIN_SECRETS = (b"a secret for tests", b"the secret of tests before")
SENDERS = (
    Sender(
        name="main",
        path=b"/webhook/cxone-dataaction",
        proof="hmac",
        secrets=MAIN_SECRETS,
        header=b"x-nice-webhook-signature",
    ),
    Sender(
        name="expert",
        path=b"/webhook/expert",
        proof="hmac",
        secrets=(b"a secret of expert, current", b"a secret of expert, previous"),
        header=b"x-nexus-signature-256",
        prefix=b"sha256=",
        encoding="hex",
        signed=("x-nexus-timestamp", b"."),
        time="x-nexus-timestamp",
        id=b"x-nexus-delivery-id",
        type=b"x-nexus-event-type",
        before_type="expert.",
    ),
    Sender(
        name="standard",
        path=b"/webhook/standard",
        proof="hmac",
        secrets=(STANDARD,),
        header=b"webhook-signature",
        prefix=b"v1,",
        signed=("webhook-id", b".", "webhook-timestamp", b"."),
        time="webhook-timestamp",
        several=True,
        id=b"webhook-id",
    ),
    Sender(
        name="slack",
        path=b"/from/slack",
        proof="hmac",
        secrets=(b"a secret of slack",),
        header=b"x-slack-signature",
        prefix=b"v0=",
        encoding="base64url",
        signed=(b"v0:", "x-slack-time", b":"),
        time="x-slack-time",
    ),
    Sender(
        name="voice",
        path=b"/webhook/voice",
        proof="token",
        secrets=(b"a token of voice, current", b"a token of voice, previous"),
        header=b"x-api-key",
        id=(("contactId",), ("call", "sequence")),
        type=("const", "ivr.log"),
    ),
    Sender(
        name="bearer",
        path=b"/webhook/bearer",
        proof="token",
        secrets=(b"a-token-of-bearer-current",),
        prefix=b"Bearer ",
    ),
    Sender(
        name="desk",
        path=b"/webhook/desk",
        proof="basic",
        secrets=(b"a pass:word of the desk", b"a password of the desk before"),
        user=b"the desk",
        id=b"x-event-id",
        type=b"x-event-type",
    ),
    Sender(
        name="hub",
        path=b"/webhook/hub",
        proof="oauth2",
        secrets=(b"a client secret of hub", b"a client secret before"),
    ),
)
_ODD = (b"\xe9", b"\xff\xfe", b"\xc2\xa0", b"\x85", b",", b" ", b"\t", b"=", b".", b":", b"%41")
_IDS = (b"a", b"b", b"a b", b"a,b", b"a, b", b"A", b"a.b", b"\xe9", b"7", b'"a"', b"x" * 900)


@dataclass
class Request:
    """One to be changed and sent; `folded` is a header in two lines."""

    method: bytes
    target: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def raw(self) -> bytes:
        """The bytes on the wire."""
        length = b"%d" % len(self.body)
        lines = [name + b":" + value for name, value in self.headers]
        first = b"%s %s HTTP/1.1" % (self.method, self.target)
        return b"\r\n".join([first, *lines, b"Content-Length: " + length, b"", self.body])


class Requests:
    """A seeded source of requests; those of one seed differ only by the time they are made at."""

    def __init__(self, seed: int, oracle: Oracle, fetched: dict[str, bytes]) -> None:
        """`fetched`: access tokens that the service itself gave, by source."""
        self.random = Random(seed)
        self._tokens = dict.fromkeys(fetched.values()) | dict.fromkeys(self._mint(oracle))
        oracle.tokens |= set(fetched.items())
        self._ways: tuple[Callable[[Request, Sender], None], ...] = (
            self._another_path,
            self._another_method,
            self._another_case,
            self._doubled,
            self._blanks,
            self._folded,
            self._underscores,
            self._odd_bytes,
            self._long,
            self._changed_value,
            self._changed_body,
            self._another_time,
            self._encoded_otherwise,
            self._by_another,
            self._without,
            self._listed,
            self._another_id,
        )

    def _mint(self, oracle: Oracle) -> list[bytes]:
        """Access tokens, those that hold made known to the oracle."""
        now, made = int(time.time()), []
        for sender in SENDERS:
            for secret in (*sender.secrets, b"a secret that nobody has"):
                # Seconds from now; a busy machine sends the last of them half an hour later.
                for issued, expires in (
                    *((0, 3600), (-1000, 2600), (200, 3000), (0, 0), (0, 3601)),
                    *((-3700, -100), (3000, 6000), (3000, 0), (-(10**9), 10**9)),
                ):
                    token = minted(sender.name, secret, now + issued, now + expires)
                    made.append(token)
                    holds = 0 < expires - issued <= 3600 and expires > 0 and issued <= 300
                    if sender.name == "hub" and secret in sender.secrets and holds:
                        oracle.tokens.add((sender.name, token))
        return [*made, minted("hub", SENDERS[-1].secrets[0], now, now + 60, version="v2")]

    def next(self) -> bytes:
        """The bytes of a request: one of eight as its sender would send it."""
        while True:
            sender = self.random.choice(SENDERS)
            request = self._made(sender)
            for _ in range(self.random.choice((0, 1, 1, 1, 2, 2, 3, 4))):
                self.random.choice(self._ways)(request, sender)
            raw = request.raw()
            # Two changes of one header can end the headers early: then these are two requests.
            if raw.partition(b"\r\n\r\n")[2] == request.body:
                return raw

    def _made(self, sender: Sender) -> Request:
        body = self._body()
        headers = [(b"Host", b"x"), (b"Content-Type", b"application/json")]
        if isinstance(sender.id, bytes):
            headers.append((sender.id, self.random.choice(_IDS[:6])))
        if isinstance(sender.type, bytes):
            headers.append((sender.type, self.random.choice((b"one", b"two", b"two "))))
        request = Request(b"POST", sender.path, headers, body)
        self._prove(request, sender)
        return request

    def _body(self) -> bytes:
        number = self.random.randrange(40)
        if number == 0:
            return self.random.choice(
                (b"", b"[]", b"{", b"null", b'{"id":1}', b"\xff", b'{"a":NaN}')
            )
        each: list[object] = ["1", 1, 1.0, "", None, True, "1, 2"]
        sequence = each[number] if number < len(each) else number
        kind = self.random.choice(("one", "two", 3))
        fields = {"id": str(number), "type": kind, "contactId": f"c{number % 3}"}
        return json.dumps({**fields, "call": {"sequence": sequence}}).encode()

    def _prove(self, request: Request, sender: Sender, secret: bytes | None = None) -> None:
        """Put the proof of `sender` on it, in place of what has its names."""
        secret = secret or self.random.choice(sender.secrets)
        if sender.proof == "hmac":
            value = sender.prefix + _in(sender.encoding, self._mac(request, sender, secret))
        elif sender.proof == "basic":
            value = b"Basic " + base64.b64encode(sender.user + b":" + secret)
        elif sender.proof == "oauth2":
            value = b"Bearer " + self.random.choice(list(self._tokens))
        else:
            value = sender.prefix + secret
        _set(request, sender.header, value)

    def _mac(self, request: Request, sender: Sender, secret: bytes) -> bytes:
        content = b"".join(
            part if isinstance(part, bytes) else self._signed(request, part, sender)
            for part in sender.signed
        )
        return hmac.new(secret, content + request.body, hashlib.sha256).digest()

    def _signed(self, request: Request, name: str, sender: Sender) -> bytes:
        """The value of a signed header, that is there or is made now."""
        found = [value for key, value in request.headers if key.lower() == name.encode()]
        if not found or not found[0].strip():
            made = b"%d" % time.time() if name == sender.time else self.random.choice(_IDS)
            _set(request, name.encode(), made)
            return made.strip(b" \t")
        return found[0].strip(b" \t")

    def _another_path(self, request: Request, sender: Sender) -> None:
        path, last = sender.path, sender.path[-1]
        request.target = self.random.choice(
            (
                *(path + b"/", path + b"//", b"/" + path, path.upper(), path + b"?a=/webhook/desk"),
                *(path[:-1] + b"%%%02x" % last, path + b"%2f", path + b"%00", path + b"/../desk"),
                *(b"http://h" + path, path + b"#x", path + b";a", path + b".", b"/", b"*"),
                self.random.choice(SENDERS).path,
            )
        )

    def _another_method(self, request: Request, _sender: Sender) -> None:
        names = (b"GET", b"HEAD", b"OPTIONS", b"PUT", b"PATCH", b"DELETE", b"TRACE", b"QUERY")
        request.method = self.random.choice((*names, b"POSTS", b"PROPFIND"))

    def _another_case(self, request: Request, _sender: Sender) -> None:
        at, (name, value) = self._one(request)
        change = self.random.choice((bytes.upper, bytes.title, bytes.lower))
        request.headers[at] = change(name), value
        if self.random.random() < 0.3:
            scheme, blank, rest = value.partition(b" ")
            request.headers[at] = name, change(scheme) + blank + rest

    def _doubled(self, request: Request, _sender: Sender) -> None:
        _, (name, value) = self._one(request)
        other = self.random.choice((value, b"", b"x", self.random.choice(_IDS)))
        request.headers.insert(self.random.randrange(len(request.headers)), (name, other))

    def _blanks(self, request: Request, _sender: Sender) -> None:
        at, (name, value) = self._one(request)
        blank = self.random.choice((b" ", b"\t", b"  \t ", b"\xa0", b"\x0b"))
        value = self.random.choice(
            (blank + value, value + blank, value.replace(b" ", blank + b" "))
        )
        request.headers[at] = self.random.choice((name, name, name, name + blank)), value

    def _folded(self, request: Request, _sender: Sender) -> None:
        at, (name, value) = self._one(request)
        half = self.random.randrange(len(value) + 1)
        request.headers[at] = name, value[:half] + b"\r\n " + value[half:]

    def _underscores(self, request: Request, _sender: Sender) -> None:
        at, (name, value) = self._one(request)
        under = name.replace(b"-", b"_"), self.random.choice((value, b"evil"))
        if self.random.random() < 0.5:
            request.headers.append(under)
        else:
            request.headers[at] = under

    def _odd_bytes(self, request: Request, _sender: Sender) -> None:
        at, (name, value) = self._one(request)
        half = self.random.randrange(len(value) + 1)
        request.headers[at] = name, value[:half] + self.random.choice(_ODD) + value[half:]

    def _long(self, request: Request, _sender: Sender) -> None:
        at, (name, value) = self._one(request)
        filling = self.random.choice((b" ", b"x", b", ", b"\t")) * self.random.choice((500, 1100))
        end = self.random.choice((b"", b"x", b"y"))
        request.headers[at] = name, self.random.choice((value + filling + end, filling + value))

    def _changed_value(self, request: Request, _sender: Sender) -> None:
        at, (name, value) = self._one(request)
        if value:
            where = self.random.randrange(len(value))
            put = self.random.choice((b"", b"A", value[where : where + 1].swapcase(), b"0"))
            request.headers[at] = name, value[:where] + put + value[where + 1 :]

    def _changed_body(self, request: Request, _sender: Sender) -> None:
        where = self.random.randrange(len(request.body) + 1)
        put = self.random.choice((b" ", b"\n", b"0", b"\xc3\xa9", b"}"))
        request.body = request.body[:where] + put + request.body[where:]

    def _another_time(self, request: Request, sender: Sender) -> None:
        if sender.time:
            now = int(time.time()) + self.random.choice((-10_000, -400, -200, 0, 200, 400, 10_000))
            text = self.random.choice(
                ("{0}", "{0}000", "0{0}", "+{0}", "{0}.0", "{0}e0", "x", "-1")
            )
            _set(request, sender.time.encode(), text.format(now).encode())
            if self.random.random() < 0.7:
                self._prove(request, sender)

    def _encoded_otherwise(self, request: Request, sender: Sender) -> None:
        if sender.proof == "hmac":
            mac = self._mac(request, sender, sender.secrets[0])
            ways = ("base64", "base64url", "hex", "HEX", "unpadded", "two", "sha1")
            value = _in(self.random.choice(ways), mac)
            prefix = self.random.choice((sender.prefix, sender.prefix, sender.prefix.upper(), b""))
            _set(request, sender.header, prefix + value)

    def _by_another(self, request: Request, sender: Sender) -> None:
        """Proven as by another source, or with its secret."""
        other = self.random.choice(SENDERS)
        if self.random.random() < 0.5:
            self._prove(request, other)
        else:
            unknown = b"a secret that nobody has"
            self._prove(request, sender, self.random.choice((*other.secrets, unknown)))

    def _without(self, request: Request, _sender: Sender) -> None:
        at, (name, _) = self._one(request)
        del request.headers[at]
        if self.random.random() < 0.3:
            request.headers.append((name, b""))

    def _listed(self, request: Request, sender: Sender) -> None:
        found = [value for name, value in request.headers if name.lower() == sender.header]
        if found:
            wrong = sender.prefix + b"AAAA"
            some = [wrong] * self.random.choice((1, 2, 14, 15, 16, 17))
            some.insert(self.random.randrange(len(some)), found[0])
            _set(request, sender.header, self.random.choice((b" ", b",", b", ")).join(some))

    def _another_id(self, request: Request, sender: Sender) -> None:
        if isinstance(sender.id, bytes):
            _set(request, sender.id, self.random.choice(_IDS))
            if self.random.random() < 0.7:
                self._prove(request, sender)

    def _one(self, request: Request) -> tuple[int, tuple[bytes, bytes]]:
        if not request.headers:
            request.headers.append((b"X-Any", b"any"))
        # The last ones prove it.
        at = self.random.randrange(min(2, len(request.headers) - 1), len(request.headers))
        return at, request.headers[at]


def _set(request: Request, name: bytes, value: bytes) -> None:
    request.headers = [each for each in request.headers if each[0].lower() != name.lower()]
    request.headers.append((name, value))


def _in(encoding: str, mac: bytes) -> bytes:
    return {
        "base64": base64.b64encode(mac),
        "base64url": base64.urlsafe_b64encode(mac).rstrip(b"="),
        "hex": mac.hex().encode(),
        "HEX": mac.hex().upper().encode(),
        "unpadded": base64.b64encode(mac).rstrip(b"="),
        "two": base64.urlsafe_b64encode(mac) + b"=",
        "sha1": mac[:20].hex().encode(),
    }[encoding]

"""Access tokens: made for one source, checked by anybody who has its secret, and nothing else."""

from __future__ import annotations

import base64
import hmac
import json
import random
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from consumer.core.delivery import Delivery, Headers
from consumer.core.errors import CredentialInvalid, SignatureError, SignatureMissing
from consumer.ingest.oauth2 import AccessToken, check, hkdf, issue
from consumer.ingest.signature import Secret

NOW = datetime(2026, 3, 1, 12, 0, 0, 654_321, tzinfo=timezone.utc)
SECRET = Secret("current", b"0123456789abcdef0123456789abcdef")
OTHER = Secret("current", b"fedcba9876543210fedcba9876543210")
INVALID = 'Bearer error="invalid_token"'


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def signed(payload: bytes, version: str = "v1", source: str = "voice") -> str:
    """A token as somebody who has the secret may make it, written apart from `issue`."""
    info = b"oauth2 token" + source.encode() + b"\x01"
    key = hmac.digest(hmac.digest(bytes(32), SECRET.key, "sha256"), info, "sha256")
    head = f"{version}.{text(payload)}"
    return f"{head}.{text(hmac.digest(key, head.encode(), 'sha256'))}"


def payload(**changed: Any) -> bytes:
    stamp = int(NOW.timestamp())
    facts = {"source": "voice", "issued": stamp, "expires": stamp + 3600, "nonce": "n"}
    return json.dumps({**facts, **changed}).encode()


def refusal(token: str, now: datetime = NOW) -> SignatureError:
    with pytest.raises(SignatureError) as refused:
        check(token, "voice", (SECRET,), now)
    return refused.value


def test_keys_are_derived_as_rfc_5869_says() -> None:
    # Appendix A.3: without salt, and what its first step makes of the secret.
    secret = b"\x0b" * 22
    prk = bytes.fromhex("19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04")
    output = "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"

    assert hkdf(secret, b"").hex() == output
    assert hkdf(secret, b"info") == hmac.digest(prk, b"info\x01", "sha256")


def test_a_token_tells_its_source_and_times_and_is_never_the_same() -> None:
    token, again = issue("voice", SECRET, NOW, 600), issue("voice", SECRET, NOW, 600)

    version, told, _mac = token.split(".")
    facts = json.loads(base64.urlsafe_b64decode(told + "=="))

    assert version == "v1"
    assert "=" not in token
    assert (facts["source"], facts["expires"] - facts["issued"]) == ("voice", 600)
    assert facts.keys() == {"source", "issued", "expires", "nonce"}
    assert token != again


def test_a_token_made_by_the_description_alone_is_taken() -> None:
    assert check(signed(payload()), "voice", (SECRET,), NOW) == "current"


@pytest.mark.parametrize("header", ["Bearer {}", "bearer {}", "BEARER \t {}", "  Bearer   {}\t"])
def test_blanks_and_the_case_of_the_scheme_do_not_matter(header: str) -> None:
    """As for tokens that are secrets themselves."""
    headers = Headers({"Authorization": header.format(issue("voice", SECRET, NOW))})
    delivery = Delivery("d", b"{}", headers, NOW, source="voice")

    assert AccessToken("voice", (SECRET,)).verify(delivery, NOW).secret == "current"


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic {}", "Bearer{}", "{}"])
def test_without_its_scheme_a_token_is_missing(header: str) -> None:
    headers = Headers({"Authorization": header.format(issue("voice", SECRET, NOW))})

    with pytest.raises(SignatureMissing):
        AccessToken("voice", (SECRET,)).verify(Delivery("d", b"{}", headers, NOW), NOW)


def test_a_token_is_valid_while_its_secret_is_current_or_previous() -> None:
    token = issue("voice", SECRET, NOW)

    rotated = (OTHER, Secret("previous", SECRET.key))

    assert check(token, "voice", (SECRET,), NOW) == "current"
    assert check(token, "voice", rotated, NOW) == "previous"
    with pytest.raises(CredentialInvalid):
        check(token, "voice", (OTHER,), NOW)
    with pytest.raises(CredentialInvalid):
        check(token, "voice", (), NOW)


@pytest.mark.parametrize("other", ["voice2", "voic", "chat", ""])
def test_a_token_is_valid_for_its_source_alone_even_with_the_same_secret(other: str) -> None:
    token = issue("voice", SECRET, NOW)

    with pytest.raises(CredentialInvalid):
        check(token, other, (SECRET,), NOW)


def test_names_of_sources_that_end_in_each_other_have_keys_of_their_own() -> None:
    tokens = {name: issue(name, SECRET, NOW) for name in ("a", "aa", "token", "tokena")}

    for made_for, token in tokens.items():
        for name in tokens:
            if name != made_for:
                with pytest.raises(CredentialInvalid):
                    check(token, name, (SECRET,), NOW)


@pytest.mark.parametrize(
    ("seconds", "fact"),
    [
        (-301.7, "in the future"),
        (-300, None),
        (0, None),
        (3599.3, None),
        (3600 - 0.654_321, "expired"),
        (10**8, "expired"),
    ],
)
def test_clocks_may_be_five_minutes_off_and_an_expired_token_is_told(
    seconds: float, fact: str | None
) -> None:
    token = issue("voice", SECRET, NOW, 3600)

    if fact is None:
        assert check(token, "voice", (SECRET,), at(seconds)) == "current"
    else:
        refused = refusal(token, at(seconds))
        assert fact in str(refused)
        assert (type(refused), refused.challenge) == (CredentialInvalid, INVALID)


def test_that_a_forged_token_is_expired_is_told_to_nobody() -> None:
    token = issue("voice", SECRET, NOW)
    forged = f"{token[:-1]}{'A' if token[-1] != 'A' else 'B'}"

    assert str(refusal(forged, at(10**6))) == "Invalid access token"


@pytest.mark.parametrize("lifetime", [0, -1, 3601])
def test_no_token_is_made_for_more_than_an_hour(lifetime: int) -> None:
    with pytest.raises(ValueError, match="3600"):
        issue("voice", SECRET, NOW, lifetime)


def test_without_a_token_the_challenge_names_no_error() -> None:
    refused = refusal("")

    assert type(refused) is SignatureMissing
    assert refused.challenge is not None
    assert "error" not in refused.challenge


@pytest.mark.parametrize(
    "token",
    [
        signed(payload(), version="v2"),
        signed(payload(), version=""),
        signed(b"", version="v1.A"),
        signed(payload(), source="chat"),
        signed(payload(source="chat")),
        signed(payload(source="é")),
        signed(payload(expires=int(NOW.timestamp()) + 3601)),
        signed(payload(expires=int(NOW.timestamp()))),
        signed(payload(issued=10**30, expires=10**30 + 1)),
        signed(payload(issued="1")),
        signed(payload(issued=1.5)),
        signed(payload(more=1)),
        signed(b'{"source":"\\ud800","issued":1,"expires":2,"nonce":""}'),
        signed(b'{"source":"\xff"}'),
        signed(b"[" * 500),
        signed(b"null"),
        signed(b""),
        signed(payload(nonce="x" * 600)),
    ],
)
def test_odd_tokens_of_who_has_the_secret_are_refused_like_any(token: str) -> None:
    refused = refusal(token)

    assert (type(refused), refused.challenge) == (CredentialInvalid, INVALID)


def hostile(draw: random.Random, tokens: list[str]) -> str:
    """A token with up to three things wrong."""
    token = draw.choice(tokens)
    version, told, mac = token.split(".")
    for _ in range(draw.randrange(4)):
        at_ = draw.randrange(len(token) + 1)
        odd = draw.choice("=. \0é\ud800\x80+/A_-٣")
        other = draw.choice(tokens).split(".")
        token = draw.choice(
            [
                token[:at_] + odd + token[at_:],
                token[:at_] + odd + token[at_ + 1 :],
                token[:at_] + token[at_ + 1 :],
                token[:at_],
                token[at_:],
                token[:-1] + draw.choice("AEIMQUYcgkosw048BFJ"),
                token + "=" * draw.randrange(3),
                (token * 9)[: draw.randrange(2000)],
                token.swapcase(),
                ".".join([version, told, other[-1]]),
                ".".join([version, *other[1:2], mac]),
                ".".join(draw.sample([version, told, mac], 3)),
                f"{version}.{text(payload())}.{mac}",
                f"{version}.{told}.",
                f"none.{told}.{text(b'')}",
            ]
        )
    return token


@pytest.mark.parametrize("times", [3_000, pytest.param(30_000, marks=pytest.mark.slow)])
def test_of_mutated_tokens_only_those_that_were_made_are_taken(times: int) -> None:
    draw = random.Random(4)
    made: dict[str, tuple[str, bytes, int]] = {}
    for _ in range(200):
        source, secret = draw.choice(["voice", "chat"]), draw.choice([SECRET, OTHER])
        issued = at(draw.randrange(-4000, 400))
        made[issue(source, secret, issued, 3600)] = source, secret.key, int(issued.timestamp())
    taken = 0

    for _ in range(times):
        token, source = hostile(draw, list(made)), draw.choice(["voice", "chat"])
        secrets = draw.choice([(SECRET,), (OTHER,), (SECRET, Secret("previous", OTHER.key))])
        made_for, key, issued_at = made.get(token, ("", b"", 0))
        in_time = -300 <= NOW.timestamp() - issued_at < 3600
        right = in_time and made_for == source
        expected = next((one.name for one in secrets if right and one.key == key), None)
        try:
            found: str | None = check(token, source, secrets, NOW)
        except SignatureError:
            found = None
        assert found == expected, (token, source)
        taken += found is not None

    assert taken > times / 50

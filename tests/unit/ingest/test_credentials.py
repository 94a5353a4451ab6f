"""Tokens and passwords are compared, and of refused ones only keyed hashes are kept."""

from __future__ import annotations

import base64
from contextlib import suppress
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.core.delivery import Delivery, Headers
from consumer.core.errors import CredentialInvalid, SignatureMissing
from consumer.ingest.credentials import Credential, KeyedHashes
from consumer.ingest.signature import Secret

NOW = datetime(2026, 5, 4, tzinfo=timezone.utc)
MAIN = KeyedHashes.of([b"the main secret"])
CURRENT, PREVIOUS = "the current token", "the previous token"
SECRETS = [Secret("current", CURRENT.encode()), Secret("previous", PREVIOUS.encode())]


def delivery(header: str = "", name: str = "Authorization") -> Delivery:
    return Delivery("d", b"{}", Headers({name: header} if header else {}), NOW)


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


KINDS: dict[str, tuple[dict[str, Any], str]] = {
    "a header of its own": ({"header": "X-Api-Key"}, "{}"),
    "bearer": ({"prefix": "Bearer "}, "Bearer {}"),
    "bearer in lower case": ({"prefix": "Bearer "}, "bearer {}"),
    "a prefix of two words": ({"prefix": "My Token "}, "My Token {}"),
    "a prefix without a blank": ({"prefix": "key="}, "key={}"),
    "basic": ({"user": "voice"}, "basic"),
}


def sent(form: str, secret: str) -> str:
    return basic("voice", secret) if form == "basic" else form.format(secret)


_WORDS = st.sampled_from(
    ["x", "x,", "Bearer", "bearer", "Basic", "My", "Token", "key=", CURRENT, "voice:", "", "  "]
)


@given(st.lists(_WORDS, max_size=5), st.sampled_from(["", " ", ", "]))
@pytest.mark.parametrize("kind", KINDS)
def test_no_header_is_recognised_later_that_would_be_refused_now(
    kind: str, words: list[str], between: str
) -> None:
    options, _ = KINDS[kind]
    credential = Credential(SECRETS, MAIN, **options)
    header = between.join(words)
    with suppress(CredentialInvalid, SignatureMissing):
        credential.recognise(MAIN.of_header(header), NOW)
        assert credential.verify(delivery(header, options.get("header", "Authorization")), NOW)


def test_a_token_behind_another_value_is_recognised_no_more_than_taken() -> None:
    bearer = Credential(SECRETS, MAIN, prefix="Bearer ")

    for header in (f"x, Bearer {CURRENT}", f"Token {CURRENT}"):
        with pytest.raises(CredentialInvalid):
            bearer.verify(delivery(header), NOW)
        with pytest.raises(CredentialInvalid):
            bearer.recognise(MAIN.of_header(header), NOW)


@pytest.mark.parametrize(("secret", "name"), [(CURRENT, "current"), (PREVIOUS, "previous")])
@pytest.mark.parametrize("kind", KINDS)
def test_either_secret_is_right_at_once_and_recognised_later(
    kind: str, secret: str, name: str
) -> None:
    options, form = KINDS[kind]
    repaired = Credential(SECRETS, MAIN, **options)
    wrong = Credential([Secret("current", b"not entered rightly")], MAIN, **options)
    came = delivery(sent(form, secret), options.get("header", "Authorization"))

    assert repaired.verify(came, NOW).secret == name
    with pytest.raises(CredentialInvalid):
        wrong.verify(came, NOW)
    presented = MAIN.of_header(sent(form, secret))
    assert repaired.recognise(presented, NOW).secret == name
    with pytest.raises(CredentialInvalid):
        wrong.recognise(presented, NOW)


@pytest.mark.parametrize("kind", KINDS)
def test_no_part_of_a_secret_and_no_more_is_right(kind: str) -> None:
    options, form = KINDS[kind]
    proof = Credential(SECRETS, MAIN, **options)
    for wrong in ("", CURRENT[:-1], CURRENT + "x", CURRENT.upper(), f"{CURRENT} {CURRENT}", "\xff"):
        header = sent(form, wrong)
        with pytest.raises((CredentialInvalid, SignatureMissing)):
            proof.verify(delivery(header, proof.header), NOW)
        with pytest.raises((CredentialInvalid, SignatureMissing)):
            proof.recognise(MAIN.of_header(header), NOW)


def test_another_user_of_basic_is_another() -> None:
    proof = Credential(SECRETS, MAIN, user="voice")

    with pytest.raises(CredentialInvalid) as refused:
        proof.verify(delivery(basic("desk", CURRENT)), NOW)

    assert refused.value.challenge is not None
    with pytest.raises(CredentialInvalid):
        proof.recognise(MAIN.of_header(basic("desk", CURRENT)), NOW)


def test_a_hash_is_recognised_while_its_main_secret_is_current_or_previous() -> None:
    presented = KeyedHashes.of([b"the main secret"]).of_header(f"Bearer {CURRENT}")
    rotated, gone = (
        KeyedHashes.of([b"a new one", b"the main secret"]),
        KeyedHashes.of([b"a new one"]),
    )

    assert Credential(SECRETS, rotated, prefix="Bearer ").recognise(presented, NOW)
    with pytest.raises(CredentialInvalid):
        Credential(SECRETS, gone, prefix="Bearer ").recognise(presented, NOW)


def test_a_prefix_that_was_set_wrong_is_no_matter_later() -> None:
    for header in (CURRENT, f"Token {CURRENT}", f"Bearer {CURRENT}"):
        presented = MAIN.of_header(header)
        prefix = header.removesuffix(CURRENT)
        assert Credential(SECRETS, MAIN, prefix=prefix).recognise(presented, NOW)


def test_hashes_say_nothing_of_what_they_stand_for() -> None:
    first, second = (
        MAIN.of_header("Bearer one two"),
        KeyedHashes.of([b"another"]).of_header("Bearer one two"),
    )

    assert len(first) == 2
    assert {len(each) for each in first} == {64}
    assert not set(first) & set(second)
    assert MAIN.of_header("  ") == []
    assert KeyedHashes.of([]).of_header("Bearer one") == []


def test_nothing_presented_is_missing() -> None:
    with pytest.raises(SignatureMissing):
        Credential(SECRETS, MAIN).recognise([], NOW)

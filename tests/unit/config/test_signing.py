"""Templates are read without Python's format strings; secrets in the formats of senders."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.faults import SettingsError, Wrong
from config.loading import load
from config.signing import SecretFormat, secret_key, signed_parts


@pytest.mark.parametrize(
    ("signed", "parts"),
    [
        ("body", ("",)),
        ("timestamp.body", ("", "timestamp", ".")),
        ("{id}.{timestamp}.{body}", ("", "id", ".", "timestamp", ".")),
        ("v0:{timestamp}:{body}", ("v0:", "timestamp", ":")),
        ("%s%(a)s $a{body}", ("%s%(a)s $a",)),
    ],
)
def test_a_template_is_literal_text_and_fields(signed: str, parts: tuple[str, ...]) -> None:
    assert signed_parts(signed) == parts


@given(st.text("{}idtimestampbody.:! ", max_size=40))
def test_any_text_is_a_template_or_a_fault(text: str) -> None:
    try:
        parts = signed_parts(text + "{body}")
    except Wrong:
        return
    written = "".join(f"{{{part}}}" if at % 2 else part for at, part in enumerate(parts))
    assert written == text
    assert not set("{}") & set("".join(parts[0::2]))


@pytest.mark.parametrize(
    ("text", "written", "key"),
    [
        ("whsec_YWJjZA==", "text", b"whsec_YWJjZA=="),
        ("YWJjZA==", "base64", b"abcd"),
        ("YWJjZA", "base64", b"abcd"),
        ("-_-_", "base64", b"\xfb\xff\xbf"),
        ("+/+/", "base64", b"\xfb\xff\xbf"),
        ("61626364", "hex", b"abcd"),
        ("6A6b", "hex", b"jk"),
        ("whsec_YWJjZA==", "whsec", b"abcd"),
        ("YWJjZA", "whsec", b"abcd"),
    ],
)  # fmt: skip
def test_a_secret_is_read_as_its_format_says(text: str, written: SecretFormat, key: bytes) -> None:
    assert secret_key(text, written) == key


@pytest.mark.parametrize("text", ["whsec_YWJj\n", " YWJj", "YWJj=x", "a", "YW=Jj", "Zoë", "===="])
@pytest.mark.parametrize("written", ["base64", "hex", "whsec"])
def test_what_cannot_be_read_is_not_guessed(text: str, written: SecretFormat) -> None:
    with pytest.raises(Wrong) as caught:
        secret_key(text, written)

    assert "YW" not in str(caught.value)


def test_the_prefix_of_another_format_is_not_read_as_base64() -> None:
    with pytest.raises(Wrong):
        secret_key("whsec_YWJj", "base64")


@given(st.binary(min_size=1, max_size=80))
def test_what_a_sender_writes_is_read_again(key: bytes) -> None:
    assert secret_key(base64.b64encode(key).decode(), "base64") == key
    assert secret_key(base64.urlsafe_b64encode(key).decode().rstrip("="), "base64") == key
    assert secret_key("whsec_" + base64.b64encode(key).decode(), "whsec") == key
    assert secret_key(key.hex(), "hex") == key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("text", "abcdef"), ("text", "abcdef")),
        (("text", "abcdef"), ("hex", "616263646566")),
        (("base64", "YWJjZGVm"), ("whsec", "whsec_YWJjZGVm")),
        (("hex", "616263646566"), ("hex", "616263646566")),
        (("hex", "616263646566"), ("base64", "YWJjZGVmAAA=")),
    ],
)
def test_two_sources_share_no_secret_in_whatever_format(
    tmp_path: Path, one: tuple[SecretFormat, str], other: tuple[SecretFormat, str]
) -> None:
    path = tmp_path / "sources.toml"
    tables = (
        f'[sources.{name}]\nsecret_format = "{written}"\nsecret = "{text}"\n'
        for name, (written, text) in (("a", one), ("b", other))
    )
    path.write_text("".join(tables))

    with pytest.raises(SettingsError) as caught:
        load({}, {}, None, path)

    (fault,) = caught.value.faults
    assert (fault.name, fault.problem) == (
        "sources.b.secret",
        "shares a secret with a, current or previous",
    )

"""doctor on the shared secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.loading import load
from consumer.doctor import secrets
from consumer.doctor.check import Check
from tests.support.doctor import one, settings_of, target

STRONG = b"Zq3-vX9_kLm2pT7rWc5yBn8"


def secrets_checked(current: bytes, previous: bytes = b"", written: str = "text") -> list[Check]:
    given = {"cxone_shared_secret": current, "cxone_shared_secret_previous": previous}
    texts = {name: key.decode() if written == "text" else key.hex() for name, key in given.items()}
    return list(secrets.examine(target(settings_of(cxone_secret_format=written, **texts))))


def test_a_generated_secret_is_well() -> None:
    assert [check.status for check in secrets_checked(STRONG, b"another-one-4711-xyz")] == ["ok"]


def test_no_secret_is_a_fault_that_names_init() -> None:
    check = one(secrets.examine(target()))

    assert check.status == "fail"
    assert "cxone-consumer init" in check.advice


@pytest.mark.parametrize(
    ("key", "status", "words"),
    [
        (b"changeme", "fail", "is weak"),
        (b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "fail", "is weak"),
        (b"correct horse bat", "warn", "is weak"),
        (STRONG + b"\n", "warn", "newline"),
        (b'"' + STRONG + b'"', "warn", "quotes"),
        (STRONG + "ß".encode(), "warn", "beyond ASCII"),
        (b"whsec_" + STRONG, "warn", "begins with whsec_, and is used as it is"),
    ],
)
def test_a_doubtful_secret_is_told_and_not_shown(key: bytes, status: str, words: str) -> None:
    (check,) = secrets_checked(key)

    assert check.status == status
    assert words in check.finding
    assert key.decode() not in repr(check)


@pytest.mark.parametrize(
    ("source", "advice"),
    [("", 'secret_format = "whsec"'), ('proof = "token"', None), ('proof = "basic"', None)],
)
def test_the_format_is_named_where_the_source_has_it_and_only_for_signatures(
    tmp_path: Path, source: str, advice: str | None
) -> None:
    config = tmp_path / "cxone.toml"
    secret = f"whsec_{STRONG.decode()}"
    config.write_text(f'[sources.voice]\n{source}\nsecret = "{secret}"\n')
    config.chmod(0o600)
    settings = load({"CXONE_SHARED_SECRET": "main-4711-abcdefgh-XYZ"}, {}, config_file=config)

    ours = target(settings)
    told = [each.advice for each in secrets.examine(ours) if "whsec_" in each.finding]

    assert len(told) == (advice is not None)
    assert all(str(advice) in each and "sources.voice" in each for each in told)


@pytest.mark.parametrize("proof", ["token", "basic", "oauth2"])
def test_of_a_main_secret_that_is_sent_no_format_is_advised(proof: str) -> None:
    ours = target(settings_of(cxone_shared_secret=f"whsec_{STRONG.decode()}", cxone_proof=proof))

    assert [check.status for check in secrets.examine(ours)] == ["ok"]


def test_decoded_bytes_are_judged_by_their_strength_alone() -> None:
    (strong,) = secrets_checked(b'"\xff' + STRONG + b'\n"', written="hex")
    (weak,) = secrets_checked(b"\0" * 32, written="hex")

    assert strong.status == "ok"
    assert "is weak" in weak.finding


def test_two_equal_secrets_are_told() -> None:
    (check,) = secrets_checked(STRONG, STRONG)

    assert check.status == "warn"
    assert "the same" in check.finding

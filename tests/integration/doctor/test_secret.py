"""doctor on the shared secrets."""

from __future__ import annotations

import pytest

from consumer.doctor import secrets
from consumer.doctor.check import Check
from consumer.ingest.signature import Secret
from tests.support.doctor import one, target

STRONG = b"Zq3-vX9_kLm2pT7rWc5yBn8"


def secrets_checked(current: bytes, previous: bytes | None = None) -> list[Check]:
    held = [Secret("current", current)]
    if previous is not None:
        held.append(Secret("previous", previous))
    return list(secrets.examine(target(secrets=tuple(held))))


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


def test_decoded_bytes_are_judged_by_their_strength_alone() -> None:
    strong = Secret("current", b'"\xff' + STRONG + b'\n"', "Iv9acTMtdlg=")
    weak = Secret("current", b"\0" * 32, "00" * 32)

    assert [each.status for each in secrets.examine(target(secrets=(strong,)))] == ["ok"]
    assert "is weak" in one(secrets.examine(target(secrets=(weak,)))).finding


def test_two_equal_secrets_are_told() -> None:
    (check,) = secrets_checked(STRONG, STRONG)

    assert check.status == "warn"
    assert "the same" in check.finding

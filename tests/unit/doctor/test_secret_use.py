from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from consumer.core.errors import StoreUnavailable
from consumer.core.metrics import Metrics
from consumer.core.metrics_table import SECRETS
from consumer.doctor.secrets import judge_current, judge_previous
from consumer.ingest.signature import Secret, fingerprint
from consumer.monitoring.secret_use import Use
from jobs.note_secrets import NoteSecrets

NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
HOUR = timedelta(hours=1)


def used(hours_ago: float | None, since: float = 100) -> Use:
    last = None if hours_ago is None else NOW - hours_ago * HOUR
    return Use(NOW - since * HOUR, last, 0 if last is None else 7)


@pytest.mark.parametrize(
    ("previous", "current", "status", "said", "advice"),
    [
        (None, None, "ok", "not known to a running service yet", ""),
        (used(0.5), used(0.1), "warn", "still in use", "change the secret at the sender"),
        (used(23.9), used(0.1), "warn", "still in use", "change the secret at the sender"),
        (used(24.1), used(0.1), "ok", "no longer in use", "remove CXONE_SHARED_SECRET_PREVIOUS"),
        (used(24.1), used(30), "ok", "the current one neither", "keep it until"),
        (used(24.1), used(None), "ok", "the current one neither", "keep it until"),
        (used(24.1), None, "ok", "the current one neither", "keep it until"),
        (used(None, since=5), used(0.1), "ok", "has not signed", "until 24 h have passed"),
        (used(None, since=25), used(0.1), "ok", "no longer in use", "remove"),
    ],
)
def test_previous_secret_can_go_after_a_day_in_which_only_the_current_one_signed(
    previous: Use | None, current: Use | None, status: str, said: str, advice: str
) -> None:
    check = judge_previous(previous, current, NOW)

    assert check.status == status
    assert said in check.finding
    assert advice in check.advice


def test_current_secret_tells_when_it_last_signed_and_how_often() -> None:
    check = judge_current(used(3), NOW)

    assert check.finding == (
        "CXONE_SHARED_SECRET last signed a delivery 3 h ago (2026-03-01 09:00 UTC), 7 in all"
    )


def test_fingerprint_is_the_same_for_a_secret_in_any_role_and_tells_nothing_of_it() -> None:
    assert fingerprint(b"one") == fingerprint(b"one") != fingerprint(b"two")
    assert "one" not in fingerprint(b"one")


class Book:
    """Takes what a job notes, or refuses it like a MongoDB that is away."""

    def __init__(self) -> None:
        self.noted: list[tuple[str, int]] = []
        self.away = False

    def add(self, known_as: str, deliveries: int) -> None:
        if self.away:
            raise StoreUnavailable("away")
        self.noted.append((known_as, deliveries))


def test_job_notes_each_secret_at_first_then_what_grew_and_makes_up_for_an_outage() -> None:
    metrics, book = Metrics(), Book()
    old, new = fingerprint(b"old"), fingerprint(b"new")
    secrets = [Secret("current", b"new"), Secret("previous", b"old")]
    job = NoteSecrets({"main": secrets}, metrics, book)
    job()
    metrics.count(SECRETS, secret="previous")
    metrics.count(SECRETS, secret="previous")
    book.away = True
    with pytest.raises(StoreUnavailable):
        job()
    book.away = False
    job()
    job()

    assert book.noted == [(new, 0), (old, 0), (old, 2)]

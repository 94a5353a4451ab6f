"""A holder of a lease knows that it is lost before another has it."""

from __future__ import annotations

import pytest

from consumer.mongodb.client import connect, open_database
from jobs.scheduling.lease_keeper import LeaseKeeper
from tests.support.jobs import Db, expire, granted, leases


class Hand:
    """A monotonic clock that a test turns."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def test_a_hold_that_cannot_renew_is_lost_before_the_lease_expires(database: Db) -> None:
    now = Hand()
    ours = leases(database, "a", 30, now=now)
    keeper = LeaseKeeper(ours, granted(ours), now)

    now.seconds += 24.9
    before = keeper.lost()
    now.seconds += 0.2

    assert (before, keeper.lost()) == (False, True)


def test_a_hold_renews_after_a_third_and_counts_from_before_the_request(database: Db) -> None:
    now = Hand()
    ours = leases(database, "a", 30, now=now)
    keeper = LeaseKeeper(ours, granted(ours), now)

    now.seconds += 9.9
    keeper.renew_when_due()
    early = keeper.lease.until
    now.seconds += 0.2
    keeper.renew_when_due()

    assert early == 1030.0
    assert keeper.lease.until == pytest.approx(1040.1)


def test_a_hold_learns_that_another_has_the_lease(database: Db) -> None:
    now = Hand()
    ours = leases(database, "a", 30, now=now)
    keeper = LeaseKeeper(ours, granted(ours), now)
    expire(database)
    granted(leases(database, "b"))

    now.seconds += 11
    keeper.renew_when_due()

    assert keeper.lost()


def test_a_hold_survives_an_absence_of_mongodb_that_is_shorter_than_the_lease(
    database: Db,
) -> None:
    now = Hand()
    lease = granted(leases(database, "a", 0.6, now=now))
    with connect("mongodb://127.0.0.1:9", timeout=0.1) as client:
        away = leases(open_database(client, database.name), "a", 0.6, now=now)
        keeper = LeaseKeeper(away, lease, now)

        now.seconds += 0.3
        keeper.renew_when_due()
        early = keeper.lost()
        now.seconds += 0.3

        assert (early, keeper.lost()) == (False, True)

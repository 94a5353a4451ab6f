"""A lease is granted to one, by the clock of MongoDB alone."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta, timezone

from consumer.mongodb.client import LEASES
from consumer.mongodb.leases import Later, Lease
from tests.support.jobs import Db, expire, granted, leases


def test_a_held_lease_is_granted_to_nobody_else(database: Db) -> None:
    granted(leases(database, "a"))

    grant = leases(database, "b").acquire("job").grant

    assert isinstance(grant, Later)
    assert 20 < grant.seconds <= 30


def test_not_even_to_its_own_holder(database: Db) -> None:
    ours = leases(database, "a")
    granted(ours)

    assert isinstance(ours.acquire("job").grant, Later)


def test_an_expired_lease_goes_to_another_under_the_next_fence(database: Db) -> None:
    first = granted(leases(database, "a"))
    expire(database)

    second = granted(leases(database, "b"))

    assert (first.fence, second.fence) == (1, 2)
    assert second.holder == "b"


def test_a_lease_that_was_taken_over_can_be_neither_renewed_nor_released(database: Db) -> None:
    old = leases(database, "a")
    lost = granted(old)
    expire(database)
    granted(leases(database, "b"))

    assert old.renew(lost, timeout=5) is None
    assert not old.release(lost, due_after=None, succeeded=True)
    assert isinstance(leases(database, "c").acquire("job").grant, Later)


def test_renewing_makes_it_last(database: Db) -> None:
    ours = leases(database, "a")
    lease = granted(ours)
    database[LEASES].update_one(
        {"_id": "job"}, {"$set": {"expires_at": datetime.now(timezone.utc) + timedelta(seconds=1)}}
    )

    renewed = ours.renew(lease, timeout=5)

    assert renewed is not None and renewed.fence == lease.fence
    grant = leases(database, "b").acquire("job").grant
    assert isinstance(grant, Later) and grant.seconds > 20


def test_a_released_lease_waits_until_it_is_due_again(database: Db) -> None:
    ours = leases(database, "a")
    ours.release(granted(ours), due_after=60, succeeded=True)

    answer = leases(database, "b").acquire("job")

    assert isinstance(answer.grant, Later) and 50 < answer.grant.seconds <= 60
    assert answer.success_age is not None and answer.success_age < 10


def test_a_run_that_was_cut_short_is_due_at_once(database: Db) -> None:
    ours = leases(database, "a")
    ours.release(granted(ours), due_after=None, succeeded=False)

    assert granted(leases(database, "b")).fence == 2


def test_of_many_that_ask_at_the_same_time_one_is_granted(database: Db) -> None:
    start = threading.Barrier(8)
    grants: list[Lease | Later] = []

    def ask(holder: str) -> None:
        ours = leases(database, holder)
        start.wait()
        grants.append(ours.acquire("job").grant)

    threads = [threading.Thread(target=ask, args=(f"holder {n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(grants) == 8
    assert sum(isinstance(grant, Lease) for grant in grants) == 1


def test_a_holder_may_be_called_anything(database: Db) -> None:
    granted(leases(database, "$host.name"))

    assert leases(database, "b").all()[0]["holder"] == "$host.name"


def test_the_list_names_no_holder_of_an_expired_lease(database: Db) -> None:
    granted(leases(database, "a"))
    expire(database)

    (row,) = leases(database, "b").all()

    assert (row["name"], row["holder"], row["fence"]) == ("job", None, 1)

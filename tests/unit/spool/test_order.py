"""The spool gives back what it took, in order, over segments and restarts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from consumer.core.delivery import Delivery, Headers
from consumer.spool.spool import Spool
from consumer.spool.survey import deliveries, survey
from tests.support.spool import NOW, delivery, files_of, ids


def test_what_is_taken_out_is_what_was_put_in(reopened: Callable[..., Spool]) -> None:
    given_ = delivery(1, bytes(range(256)))
    first = reopened()
    first.append(given_)
    first.close()

    (entry,) = reopened().take(10)

    got = entry.delivery
    assert (got.id, got.body, got.received_at, got.verdict) == (
        given_.id, given_.body, given_.received_at, given_.verdict,
    )  # fmt: skip
    assert got.headers["x-nice-webhook-signature"] == "c2ln\xe9"
    assert dict(got.headers) == dict(given_.headers)


def test_deliveries_come_out_in_order_over_segments_and_restarts(
    reopened: Callable[..., Spool], path: Path
) -> None:
    for start in (0, 10):
        spool = reopened(segment_bytes=600)
        for number in range(start, start + 10):
            spool.append(delivery(number))
        spool.close()

    assert len(files_of(path)) > 4
    assert ids(reopened()) == [f"delivery-{number}" for number in range(20)]


def test_what_stands_behind_one_is_taken_without_those_before(
    reopened: Callable[..., Spool],
) -> None:
    spool = reopened(segment_bytes=600)
    for number in range(10):
        spool.append(delivery(number))

    for number, last in enumerate(spool.take(10)):
        behind = [entry.delivery.id for entry in spool.take(10, last)]
        assert behind == [f"delivery-{other}" for other in range(number + 1, 10)]


def test_what_was_removed_does_not_come_back_after_a_restart(
    reopened: Callable[..., Spool],
) -> None:
    spool = reopened()
    for number in range(10):
        spool.append(delivery(number))
    spool.remove(spool.take(4))

    assert ids(spool) == [f"delivery-{number}" for number in range(4, 10)]
    again = reopened()
    assert ids(again) == [f"delivery-{number}" for number in range(4, 10)]
    assert again.depth == 6


def test_what_is_removed_out_of_order_is_not_taken_again(reopened: Callable[..., Spool]) -> None:
    spool = reopened()
    for number in range(6):
        spool.append(delivery(number))
    entries = spool.take(6)

    spool.remove([entries[1], entries[4]])

    assert ids(spool) == ["delivery-0", "delivery-2", "delivery-3", "delivery-5"]
    spool.remove([entries[0], entries[2], entries[3]])
    assert ids(reopened()) == ["delivery-5"]


def test_an_empty_spool_leaves_no_file_behind(reopened: Callable[..., Spool], path: Path) -> None:
    spool = reopened(segment_bytes=600)
    for number in range(10):
        spool.append(delivery(number))

    spool.remove(spool.take(100))

    assert list(path.iterdir()) == []
    assert (spool.depth, spool.size, spool.oldest()) == (0, 0, None)
    spool.append(delivery(11))
    assert ids(spool) == ["delivery-11"]


def test_a_segment_whose_deletion_a_crash_prevented_is_deleted_later(
    reopened: Callable[..., Spool], path: Path
) -> None:
    spool = reopened()
    for number in range(3):
        spool.append(delivery(number))
    spool.remove(spool.take(2))
    spool.close()
    (segment,) = files_of(path)
    content = segment.read_bytes()
    last = reopened()
    last.remove(last.take(1))
    assert list(path.iterdir()) == []
    # As if only the deletion had not happened.
    segment.write_bytes(content[: len(content) // 3 * 2])
    segment.with_suffix(".done").write_bytes(b"")
    (path / "orphan.done").write_bytes(b"")
    cleared = reopened()
    cleared.remove(cleared.take(10))

    assert list(path.iterdir()) == []


def test_depth_bytes_and_oldest_tell_what_waits(reopened: Callable[..., Spool], path: Path) -> None:
    spool = reopened()
    for number in range(5):
        spool.append(delivery(number))
    spool.remove(spool.take(2))

    for told in (spool, reopened()):
        assert told.depth == 3
        assert told.oldest() == NOW + timedelta(seconds=2)
        assert told.size == files_of(path)[0].stat().st_size
    seen = survey(path)
    assert (seen.depth, seen.bytes, seen.oldest) == (3, spool.size, spool.oldest())
    assert [each.id for each in deliveries(path)] == ["delivery-2", "delivery-3", "delivery-4"]


def test_a_missing_spool_is_an_empty_one_to_onlookers(path: Path) -> None:
    assert survey(path).depth == 0
    assert list(deliveries(path)) == []
    assert not path.exists()


def test_what_was_not_verified_is_not_taken(reopened: Callable[..., Spool]) -> None:
    unverified = Delivery("1", b"{}", Headers({}), NOW)

    with pytest.raises(ValueError, match="verified"):
        reopened().append(unverified)

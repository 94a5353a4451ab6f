"""Senders that lose when there is no room for what was refused, and those that never do."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from consumer.dead_letters.fair_share import SharedQuota

CHANCE = random.Random("room")


def room(most: int = 100, size: int = 10**9) -> SharedQuota:
    return SharedQuota(most, size, CHANCE.randrange)


def offer(
    here: SharedQuota, name: str, peer: str, *, day: int = 0, size: int = 1, known: bool = False
) -> list[str]:
    """Take it in if there is room, or others go for it; who went."""
    has_room, losers = here.make_space(size, known=known)
    if not has_room:
        return [*losers, name]
    here.add(name, peer, day, size, known=known)
    return losers


@pytest.mark.parametrize("first", ["known", "forged"])
def test_what_a_known_peer_sent_stays_beside_a_flood(first: str) -> None:
    here = room(1000)
    known = [(f"known {n}", "10.0.0.1") for n in range(50)]
    forged = [(f"forged {n}", f"192.0.2.{n % 200}") for n in range(20_000)]

    lost: set[str] = set()
    for name, peer in known + forged if first == "known" else forged + known:
        lost.update(offer(here, name, peer, known=peer == "10.0.0.1"))

    assert not [name for name in lost if name.startswith("known")]
    assert len(here) == 1000


def test_each_half_may_use_what_the_other_leaves() -> None:
    here = room(10)
    for n in range(10):
        assert offer(here, f"k{n}", "k", known=True) == []

    taken = [offer(here, f"s{n}", "s") for n in range(5)]
    more = offer(here, "s5", "s")

    assert all(len(each) == 1 and each[0].startswith("k") for each in taken)
    assert more[0].startswith("s")


def test_a_stranger_who_sends_little_stays_beside_one_who_sends_much() -> None:
    here = room(100)
    lost: Counter[str] = Counter()
    for n in range(5000):
        peer = "quiet" if n % 500 == 0 else "loud"
        lost.update(name.split()[0] for name in offer(here, f"{peer} {n}", peer))

    assert lost["quiet"] == 0


def test_a_flood_of_today_leaves_what_came_on_other_days() -> None:
    here = room(100)
    for n in range(60):
        offer(here, f"old {n}", f"peer {n % 3}", day=n % 3)

    lost = [name for n in range(500) for name in offer(here, f"new {n}", f"{n}", day=9)]

    assert sum(name.startswith("old") for name in lost) == 0


def test_bytes_are_bounded_as_entries_are() -> None:
    here = room(100, size=1000)
    for n in range(10):
        offer(here, f"{n}", "a", size=100)

    assert len(offer(here, "next", "b", size=100)) == 1
    assert here.size == 1000
    assert offer(here, "larger than all", "b", size=1001) == ["larger than all"]
    assert offer(here, "larger than what a few have", "b", size=401) == [
        "larger than what a few have"
    ]
    assert offer(room(0), "any", "a") == ["any"]


def test_what_is_full_loses_nothing_until_there_is_more_than_fits() -> None:
    here = room(3)
    for n in range(3):
        offer(here, f"{n}", "a")

    within = here.evict_excess(known=True)
    here.add("3", "b", 0, 1, known=True)

    assert within == []
    assert len(here.evict_excess(known=True)) == 1
    assert len(here) == 3


def test_the_peer_with_most_of_the_fullest_day_loses_whatever_came_and_went() -> None:
    here = room(10**6)
    kept: dict[str, tuple[int, str]] = {}
    for number in range(5000):
        if kept and CHANCE.random() < 0.45:
            gone = CHANCE.choice(list(kept))
            here.remove(gone)
            del kept[gone]
        day, peer = CHANCE.randrange(4), f"p{CHANCE.randrange(6)}"
        here.add(str(number), peer, day, 1, known=False)
        kept[str(number)] = (day, peer)

        loser = here.next_evicted(known=False)
        assert loser is not None
        days = Counter(day for day, _ in kept.values())
        fullest = [day for day, count in days.items() if count == max(days.values())]
        day, peer = kept[loser]
        assert day in fullest
        peers = Counter(peer for at, peer in kept.values() if at == day)
        assert peers[peer] == max(peers.values())
    assert len(here) == len(kept)

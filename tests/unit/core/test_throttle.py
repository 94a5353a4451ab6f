"""Few wrong tries a client, and few in all; who knew the secret is not held up by others."""

from __future__ import annotations

from consumer.core.throttle import Throttle


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_five_wrong_tries_are_free_and_then_one_every_twelve_seconds() -> None:
    clock = Clock()
    throttle = Throttle(clock)

    waits = [throttle.take("192.0.2.1") for _ in range(6)]
    clock.now = 12.0
    later = [throttle.take("192.0.2.1") for _ in range(2)]

    assert waits == [None] * 5 + [12.0]
    assert later == [None, 12.0]
    assert throttle.take("192.0.2.2") is None


def test_many_clients_together_are_slowed_down_too() -> None:
    throttle = Throttle(Clock())

    taken = [throttle.take(f"192.0.2.{n}") for n in range(60)]

    assert taken.count(None) == 50
    assert taken[-1] == 2.0


def test_who_has_many_addresses_of_one_ipv6_network_is_one_client() -> None:
    throttle = Throttle(Clock())

    taken = [throttle.take(f"2001:db8::{n:x}") for n in range(6)]

    assert taken[-1] is not None


def test_the_right_password_gives_the_tries_back() -> None:
    throttle = Throttle(Clock())
    for _ in range(5):
        throttle.take("192.0.2.1")

    throttle.forgive("192.0.2.1")

    assert throttle.take("192.0.2.1") is None


def test_who_guesses_from_many_places_does_not_lock_out_who_knew_the_password() -> None:
    throttle = Throttle(Clock())
    throttle.take("192.0.2.1")
    throttle.forgive("192.0.2.1")

    guesses = [throttle.take(f"10.0.{n}.1") for n in range(100)]

    assert guesses.count(None) == 50
    assert throttle.take("203.0.113.9") is not None
    assert throttle.take("192.0.2.1") is None
    assert throttle.take("203.0.113.9", known=True) is None


def test_who_knew_the_password_has_no_more_tries_of_their_own() -> None:
    throttle = Throttle(Clock())
    throttle.forgive("192.0.2.1")

    taken = [throttle.take("192.0.2.1", known=True) for _ in range(10)]

    assert taken.count(None) == 5


def test_the_throttle_remembers_a_bounded_number_of_those_who_knew_it() -> None:
    throttle = Throttle(Clock())

    for n in range(3000):
        throttle.forgive(f"10.{n // 256}.{n % 256}.1")

    assert len(throttle._known) == 1000


def test_the_throttle_remembers_a_bounded_number_of_clients() -> None:
    clock = Clock()
    throttle = Throttle(clock)

    for n in range(3000):
        clock.now += 2.0
        throttle.take(f"10.{n // 256}.{n % 256}.1")

    assert len(throttle._clients) == 1000

"""Bound wrong tries of passwords or secrets: few a client, and few in all. Who asks before it looks
at one slows guessing down; who asks after a wrong one bounds what those cost."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from time import monotonic

# Wrong tries that are free, and seconds until one more is: a person forgets, a program guesses.
_FREE, _EVERY = 5, 12.0
_FREE_IN_ALL, _EVERY_IN_ALL = 50, 2.0
_MOST_CLIENTS = 1000


class _Bucket:
    """Tries that are left; time fills it again."""

    def __init__(self, most: int, every: float, now: float) -> None:
        self._most = most
        self._every = every
        self._tries = float(most)
        self._at = now

    def wait(self, now: float) -> float:
        """Seconds until a try is left; 0: now."""
        self._tries = min(self._most, self._tries + (now - self._at) / self._every)
        self._at = now
        return max(0.0, (1 - self._tries) * self._every)

    def add(self, tries: int) -> None:
        self._tries = min(self._most, self._tries + tries)


class Throttle:
    """Buckets of tries by client and over all of them; bounded, safe between threads."""

    def __init__(self, now: Callable[[], float] = monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._all = _Bucket(_FREE_IN_ALL, _EVERY_IN_ALL, now())
        self._clients: OrderedDict[str, _Bucket] = OrderedDict()
        self._known: OrderedDict[str, None] = OrderedDict()

    def take(self, address: str, *, known: bool = False) -> float | None:
        """Use up one try; None when it may be made, else the seconds until one may.

        Taken before the password is looked at, so that tries at the same time count each. What all
        clients have together does not hold up who is `known` from a session, or whose client once
        had the right password: else whoever guesses from many places locks everybody out.
        """
        with self._lock:
            now, network = self._now(), _network(address)
            client = self._client(network, now)
            spared = known or network in self._known
            wait = client.wait(now) if spared else max(client.wait(now), self._all.wait(now))
            if wait > 0:
                return wait
            client.add(-1)
            if not spared:
                self._all.add(-1)
            return None

    def forgive(self, address: str) -> None:
        """Give the client its tries back: the password was right."""
        with self._lock:
            network = _network(address)
            self._clients.pop(network, None)
            if network not in self._known:
                self._all.add(1)
                if len(self._known) >= _MOST_CLIENTS:
                    self._known.popitem(last=False)
            self._known[network] = None
            self._known.move_to_end(network)

    def _client(self, key: str, now: float) -> _Bucket:
        bucket = self._clients.get(key)
        if bucket is None:
            # The one not seen for longest has got most of its tries back anyway.
            if len(self._clients) >= _MOST_CLIENTS:
                self._clients.popitem(last=False)
            bucket = self._clients[key] = _Bucket(_FREE, _EVERY, now)
        self._clients.move_to_end(key)
        return bucket


def _network(address: str) -> str:
    """The client as it is counted: who has one IPv6 address has 2**64 of them."""
    try:
        found = ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(found, IPv6Address):
        return str(IPv6Address(int(found) >> 64 << 64))
    return str(found)

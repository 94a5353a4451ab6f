"""Know the senders that delivered something verified lately: their refused deliveries matter."""

from __future__ import annotations

from typing import Protocol

# New ones between two notes; a sender that is passed over is noted with a later delivery.
_MOST_NEW = 1000


class Book(Protocol):
    """Where senders are noted: `consumer.storage.refusal_notes.RefusalNotes`."""

    def add_peers(self, peers: list[str], /) -> None: ...

    def peers(self) -> frozenset[str]: ...


class KnownPeers:
    """In memory what the book says, and who came since: asking and noting wait for nobody. A peer
    is an address of a client, of IPv6 its /64 network."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._known: frozenset[str] = frozenset()
        self._new: dict[str, None] = {}

    def __contains__(self, peer: str) -> bool:
        return peer in self._known or peer in self._new

    def verified(self, peer: str) -> None:
        """Note that a peer delivered something verified."""
        if peer and peer not in self._new and len(self._new) < _MOST_NEW:
            self._new[peer] = None

    def learn(self) -> None:
        """Read the book; raises StoreUnavailable."""
        self._known = self._book.peers()

    def tell(self) -> None:
        """Write down who came, and read who came to others; raises StoreUnavailable."""
        told, self._new = self._new, {}
        try:
            self._book.add_peers(list(told))
        except BaseException:
            self._new = {**told, **self._new}
            raise
        self.learn()

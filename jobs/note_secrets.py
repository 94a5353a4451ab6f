"""Record which shared secrets sign deliveries here, so that an old one can be given up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from consumer.core.delivery import MAIN
from consumer.core.metrics import SOURCE, Metrics
from consumer.core.metrics_table import SECRETS
from consumer.ingest.signature import Secret, fingerprint

# Seconds between looks; the last use of a secret is known to that.
EVERY = 10.0


class Uses(Protocol):
    """A store of uses: `consumer.monitoring.secret_use.SecretUse`."""

    def add(self, fingerprint: str, deliveries: int, /) -> None: ...


class NoteSecrets:
    """The job of every process; it reads what is counted anyway, and writes where that grew."""

    def __init__(
        self, secrets: Mapping[str, Sequence[Secret]], metrics: Metrics, uses: Uses
    ) -> None:
        """`secrets` by the source whose they are."""
        self._fingerprints = {
            (source, secret.name): fingerprint(secret.key)
            for source, its in secrets.items()
            for secret in its
        }
        self._metrics = metrics
        self._uses = uses
        self._recorded: dict[tuple[str, str], int] = {}

    def __call__(self) -> None:
        """Record uses since the last call; after StoreUnavailable the next call makes up for it."""
        counted = {
            (value.tags.get(SOURCE, MAIN), value.tags["secret"]): int(value.value)
            for value in self._metrics.values(SECRETS)
        }
        for secret, known_as in self._fingerprints.items():
            now, before = counted.get(secret, 0), self._recorded.get(secret)
            if before is None or now > before:
                self._uses.add(known_as, now - (before or 0))
                self._recorded[secret] = now

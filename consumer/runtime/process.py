"""Build the service as the only owner of its data directory, with a MongoDB of its own if asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from config.loading import Settings
from consumer.core.data_dir import DataDirectory
from consumer.mongodb.embedded.supervisor import EmbeddedMongo
from consumer.runtime.service import Service
from consumer.runtime.settings_map import mongodb_uri

# Seconds beside the drain: the jobs, the last report, the refused deliveries that wait, the
# embedded MongoDB, and room for a slow disk.
_BESIDE_DRAIN = 45.0


@contextmanager
def hosted(settings: Settings, *, embedded: bool) -> Iterator[Service]:
    """The service, listening and about to `run`; MongoDB and directory are let go at the end.

    Raises SetupError, and NoMongo where no MongoDB is named and none is asked for.
    """
    with ExitStack() as parts:
        parts.enter_context(DataDirectory(settings.cxone_data_dir))
        uri = (
            parts.enter_context(EmbeddedMongo(settings.cxone_data_dir)).uri
            if embedded
            else mongodb_uri(settings)
        )
        yield Service(settings, uri)


def needed(*, embedded: bool) -> list[str]:
    """The settings without which the service cannot run."""
    return ["CXONE_SHARED_SECRET"] if embedded else ["CXONE_SHARED_SECRET", "MONGODB_URI"]


def longest_stop(settings: Settings) -> float:
    """Seconds from the request to stop to the end of the process, at most."""
    return settings.cxone_drain_timeout + _BESIDE_DRAIN

"""Build the service as the only owner of its data directory, with a MongoDB of its own if asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from config.loading import Settings
from consumer.core.data_dir import DataDirectory
from consumer.mongodb.embedded.supervisor import EmbeddedMongo
from consumer.runtime.service import Service
from consumer.runtime.settings_map import mongodb_uri


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

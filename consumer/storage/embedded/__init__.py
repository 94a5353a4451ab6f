"""A real mongod as a supervised child, for trying out and for single machines."""

from __future__ import annotations

from consumer.storage.embedded.binary import candidates, locate, version
from consumer.storage.embedded.supervisor import EmbeddedMongo

__all__ = ["EmbeddedMongo", "candidates", "locate", "version"]

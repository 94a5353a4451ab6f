"""The composition root: settings in, wired parts out; the only place that knows them all."""

from consumer.runtime.core import Core, build_core, open_core
from consumer.runtime.service import Service

__all__ = ["Core", "Service", "build_core", "open_core"]

"""What the program counts and measures: declared in a table, kept, and read as values."""

from consumer.metrics.metrics import Metrics

__all__ = ["Metrics"]

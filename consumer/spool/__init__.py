"""Keep verified deliveries on the local disk while MongoDB cannot take them.

An append-only log of our own rather than SQLite: a queue needs no index and no pages. One write and
one fsync make a whole group durable (SQLite writes each page to its WAL and again to its file),
damage costs the records it touched instead of the file, and with a file layer this small the
promise can be tested against a disk that forgets whatever was not synced.
"""

from consumer.spool.reader import Entry
from consumer.spool.spool import Spool
from consumer.spool.survey import Survey, deliveries, directory_in, survey

__all__ = ["Entry", "Spool", "Survey", "deliveries", "directory_in", "survey"]

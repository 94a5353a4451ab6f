"""A durable local queue: verified deliveries stay on the disk while MongoDB cannot take them.

Public:
    spool      Spool: many threads put in, one drain takes out
    reader     Entry: a delivery in the spool
    survey     look at a spool that another process owns
    records    a delivery as a JSON object for people
    erase      take one person's deliveries out

Segments of our own, that only grow at their end, rather than SQLite (WAL, synchronous=FULL, with
its transactions shared as we share our syncs; tests/bench/bench_spool.py), for deliveries of 1 KB:

- As fast: 7,700-9,000 deliveries a second here, 5,700-9,200 there, on two busy cores.
- A queue needs no index and no pages: 1.7 KB are written for a delivery on its way in and out, by
  SQLite 6.5 KB, which writes each page to its log, again to its file, and again to delete.
- One damaged sector costs the one or two records it touches. Of 60 times that one was put into
  2,000 deliveries, SQLite 33 times stopped reading in the middle, with hundreds lost, and 19 times
  gave back another body than it was given: it has no checksums.
- With a file layer this small the promise is tested against a disk that forgets whatever was not
  synced (tests/faults/test_power_loss.py).
"""

"""A durable local queue: verified deliveries stay on the disk while MongoDB cannot take them.

Segments of our own that only grow at their end, not SQLite: that writes nearly four times as much
for each delivery, and lost hundreds of them to one damaged sector
(.github/decisions/0003-a-spool-of-our-own.md).

Public:
- spool: Spool: many threads put in, one drain takes out
- reader: Entry: a delivery in the spool
- survey: look at a spool that another process owns
- records: a delivery as a JSON object for people
- erase: take one person's deliveries out
"""

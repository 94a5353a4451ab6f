"""Events as documents: their layout, their `_id`, appended once, filled, searched.

Public:
- documents: layout of an event as a document, and its BSON
- keys: the `_id` by which two deliveries are the same event
- store: append once, in shared batches
- filling: append filled, without what an index or validator refuses
- constraints: indexes and validators that may refuse an event
- take_out: removal of fillings as an update
- recent: the newest events, how they were sent, and counts
- search: events by id, or by subject, version and time
- walk: events in order of time, by windows of bounded cost
- matching: payloads by a value at a path
"""

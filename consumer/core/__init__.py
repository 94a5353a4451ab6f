"""Ideas that two domains or more use; the core knows no database and no HTTP.

Public:
- errors: faults of this program in one family, each with its reason code
- delivery: Delivery, Event and Outcome: the values that flow
- clock: the time of day, and the hours and slices of the counts
- deadline: bound how long a thread waits for others
- waiting: waits that Ctrl-C ends on Windows too
- group_commit: share one round trip, or one sync of a disk, among threads
- fibers: run many waiting calls in one thread
- paths: paths of fields as segments, and as text for people
- body_reader: all that a body holds: JSON, JSON in strings, forms, gzip
- json_repairs: named repairs of a body that is almost JSON
- text: times, sizes, control characters and hex for people
- ratelimit: one of many like events through in an interval
- throttle: few wrong tries a client, and few in all
- data_dir: a data directory that belongs to this process
- metrics: counters, gauges and histograms, and their values
- metrics_table: every metric of the program, a row each
"""

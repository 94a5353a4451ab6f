"""Count how far schema versions have spread, and report it.

Public:
- counts: the counts by hour, and their sums
- figures: percentages of the counts
- history: counts for the charts
- report: the figures of one moment
- rollup: count what is five minutes old, sum up whole hours, recount
- state: how far events are counted, and the marks to count again
"""

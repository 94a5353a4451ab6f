"""Play realistic deliveries against a service, and post signed bodies as CXone does.

Public:
- client: posts at a pace, from several threads
- play: a scenario, its answers and what was stored
- readers: a story of four weeks: a field is renamed, and a program reads on
- results: replies in few words, counted
- samples.mishaps: a delivery, and those that are broken
- samples.scenario: the deliveries themselves
"""

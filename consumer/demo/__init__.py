"""Play realistic deliveries against a service, and post signed bodies as CXone does.

Public:
- client: posts at a pace, from several threads
- play: a scenario, its answers and what was stored
- results: replies in few words, counted
- samples.scenario: the deliveries themselves
"""

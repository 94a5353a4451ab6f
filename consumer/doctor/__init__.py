"""Examine everything the service depends on and say for each fault what to do about it.

Public:
- check: a target, its examinations, and the exit status of their checks
- mongodb: its reachability, version, clocks and topology
- secrets: shared secrets, and whether the previous one still signs
- table: every examination
"""

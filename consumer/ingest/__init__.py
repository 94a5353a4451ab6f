"""Decide what becomes of one delivery: its signature, its event, its document.

Public:
- ingest: the way of a delivery to its outcome
- parsing: a body as an event
- signature: verify and sign
- signature_diagnosis: the reason why a signature was refused
"""

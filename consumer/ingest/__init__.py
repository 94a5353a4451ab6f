"""Decide what becomes of one delivery: its signature, its event, its document.

Public:
- credentials: tokens and passwords
- ingest: the way of a delivery to its outcome
- oauth2: access tokens, made and checked
- parsing: a body as an event
- signature: verify and sign
- signature_diagnosis: the reason why a signature was refused
- source: a sender: its path, proof and places of id and type
"""

"""Decide what becomes of one delivery: its signature, its event, its document.

Public:
- credentials: tokens and passwords
- ingest: the way of a delivery to its outcome
- parsing: a body as an event
- signature: verify and sign
- source: a sender: its path, proof and places of id and type
- oauth2: access tokens, made and checked
- signature_diagnosis: the reason why a signature was refused
"""

"""Decide what becomes of one delivery: its signature, its event, its document."""

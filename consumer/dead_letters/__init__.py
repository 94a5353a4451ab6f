"""Deliveries that could not become a document: kept, claimed, tried again, repaired, ended."""

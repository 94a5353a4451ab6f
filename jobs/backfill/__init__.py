"""Bring older documents up to the fields of newer schema versions, while ingest goes on."""

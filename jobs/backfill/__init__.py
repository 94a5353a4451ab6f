"""Bring older documents up to the fields of newer schema versions, while ingest goes on.

Public:
- aliases: what aliases fill, as an update and in counts
- job: the job, and what it finds behind
- run: stores and clocks of a run
- store: finds and fills the documents
- failures: dead letters of what could not be filled
- pace: size of batches, and rest between them
- unfilled: fills by hand what lacks something on purpose
"""

"""Store deliveries that could not become a document, retry, repair, approve and discard them.

Public:
- approval: approve changes that a contract holds
- bulk: retry or discard many entries
- conditions: secrets, settings, indexes and schemas that entries wait for
- diagnosis: the next step for an entry
- editing: edit a body without its masked values, and the difference of two bodies
- refusal_notes: known peers, and the refused deliveries that were not kept
- refused: queue and store deliveries with a wrong signature
- rejected: store verified deliveries that cannot become a document
- replay: retry one entry, corrected or not
- requeue: make entries due after a change of conditions
- retry: statuses, and the rules of retries
- search: find entries
- store: the collection of entries
- views: a body as JSON, text and hex
"""

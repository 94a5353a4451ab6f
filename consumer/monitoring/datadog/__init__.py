"""Report metrics and schema versions to Datadog, buffering what it cannot take just now.

Public:
- announcements: the schema versions that were announced
- assets: the dashboard and monitors that are shipped
- points: readings, points, tags, and the deltas of metrics
- replies: the account, and what an answer means
- sink: Datadog where there is a key, else the log
- transport: the HTTP of a request, and the proxy on the way
- version_events: new versions of a subject as one event
"""

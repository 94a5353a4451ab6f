"""Report metrics and schema versions to Datadog, buffering what it cannot take just now.

Public:
- announcements: the schema versions that were announced
- assets: the dashboard and monitors that are shipped
- intake: the account, and one client of Datadog
- points: readings, points, tags, and the deltas of metrics
- sink: Datadog where there is a key, else the log
- transport: the HTTP of a request, and the proxy on the way
- version_events: new versions of a subject as one event
"""

"""Record the state of the service: processes, runs of jobs, traffic, secrets, actions of people.

Public:
- audit: actions of people, recorded before they are done
- datadog: metrics and new schema versions for Datadog
- grafana: a dashboard over what `/metrics` shows
- ingest_history: deliveries by minute and quarter, outcome and time taken
- instances: the processes that run, and their clocks
- job_runs: the runs of the periodic jobs
- outcomes: counts and times by outcome, and percentiles of them
- overview: everything at one moment, for `status` and the console
- secret_use: the last use of each shared secret
"""

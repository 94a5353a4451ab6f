"""Periodic work of the service: one job a file, `backfill` a package, `scheduling` runs them.

Public:
- adoption: count and report the spread of schema versions
- announce_signals: post signals to Datadog as events
- announce_versions: post new schema versions to Datadog as events
- backfill: fill stored documents up to the newest version
- drain_spool: store spooled deliveries
- field_statistics: count which fields are sent, and find signals
- heartbeat: list this process among those that run
- judge_readers: measure in how many fields readers are broken
- keep_views: keep the views of readers what pins and schemas say
- note_refusals: count refused deliveries that were not kept, and known peers
- note_secrets: record the use of shared secrets
- record_history: record deliveries by minute and quarter
- report_datadog: send the metrics of this process
- scheduling: the scheduler, the runner and the types of a job
- sweep_dead_letters: retry dead letters that are due
"""

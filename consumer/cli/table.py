"""Every command in one table: to list them, or to tell of one, imports no other."""

from __future__ import annotations

from collections.abc import Mapping

# Where each is, in this package, and its first sentence. A group has a place where it does
# something by itself.
COMMANDS: Mapping[str, tuple[str, str]] = {
    "init": (
        "init:init",
        "Write a settings file with a generated secret and print what to enter at CXone, or,"
        " with --preset, at another sender.",
    ),
    "serve": (
        "serve:serve",
        "Take webhooks until SIGTERM or Ctrl-C; everything accepted is answered first.",
    ),
    "demo": (
        "demo:demo",
        "Start MongoDB and the service, send realistic events, and show what became of them.",
    ),
    "send": (
        "send:send",
        "Post FILEs byte for byte, signed with CXONE_SHARED_SECRET, and count the answers.",
    ),
    "sign": (
        "sign:sign",
        "Print the signature headers for the exact bytes of FILE.",
    ),
    "doctor": (
        "doctor:doctor",
        "Check settings, MongoDB, this machine, Datadog and, with --url, the way from outside.",
    ),
    "status": (
        "status:status",
        "Show processes, jobs, MongoDB, dead letters, spools, Datadog and schemas.",
    ),
    "adoption": (
        "adoption:adoption",
        "See how far each schema version has spread.",
    ),
    "adoption rebuild": (
        "adoption:rebuild_counts",
        "Count every event again, as after some were deleted by hand; reports go on meanwhile.",
    ),
    "metrics": (
        "",
        "Get dashboards and monitors of the metrics.",
    ),
    "metrics assets": (
        "metrics:show_assets",
        "Show the dashboards for Datadog and Grafana and the monitors, or write them out.",
    ),
    "datadog": (
        "",
        "The same as `metrics`.",
    ),
    "datadog assets": (
        "metrics:show_assets",
        "Show the dashboards for Datadog and Grafana and the monitors, or write them out.",
    ),
    "dlq": (
        "",
        "Look at dead letters and try them again.",
    ),
    "dlq list": (
        "dlq.list:list_entries",
        "Show what waits: how many of each reason and cause, and the last seen ones.",
    ),
    "dlq show": (
        "dlq.show:show",
        "Show one entry: why it is here, what was tried, what would help, and its bytes.",
    ),
    "dlq retry": (
        "dlq.retry:retry",
        "Send entries the way of a delivery again, with the settings as they are now.",
    ),
    "dlq repair": (
        "dlq.repair:repair_entry",
        "Make a malformed body readable by the known repairs, show the difference, and retry it.",
    ),
    "dlq edit": (
        "dlq.repair:edit",
        "Open a copy of a body in VISUAL or EDITOR, show the difference, and retry what was saved.",
    ),
    "dlq discard": (
        "dlq.end:discard",
        "End entries that need no retry. They are deleted CXONE_DEAD_LETTER_RETENTION_DAYS later.",
    ),
    "dlq export": (
        "dlq.end:export",
        "Write bodies one a line, so that `send FILE` can post them again byte for byte.",
    ),
    "config": (
        "",
        "See which settings hold, and check the file that has them.",
    ),
    "config show": (
        "config:show_settings",
        "Show which settings hold and where each comes from; secrets are masked.",
    ),
    "config schema": (
        "config:print_schema",
        "Print the JSON Schema of the TOML file, by which editors complete and check it.",
    ),
    "audit": (
        "",
        "See what people did by hand.",
    ),
    "audit list": (
        "audit:list_actions",
        "Show what people did by hand, the last deed first.",
    ),
    "events": (
        "",
        "Find stored events, take them elsewhere, or erase a person.",
    ),
    "events list": (
        "events.list:list_events",
        "Show the newest events, one a line; every command takes the beginning of an id.",
    ),
    "events show": (
        "events.show:show_event",
        "Show one event: where it came from, and of each field whether it was sent or filled in.",
    ),
    "events export": (
        "events.export:export_events",
        "Write events as they were sent, one a line, the oldest first; up to five minutes ago.",
    ),
    "events erase": (
        "events.erase:erase_events",
        "Delete what is kept of a person for good, and count adoption again.",
    ),
    "schema": (
        "",
        "Look at schemas and decide what becomes part of them.",
    ),
    "schema list": (
        "schema.show:list_subjects",
        "Show every subject with its version, fields, documents, held deliveries and last"
        " change; and its readers, with those that are broken.",
    ),
    "schema show": (
        "schema.show:show",
        "Show the fields of a version: types, since when, how often events send them, and"
        " what fills them; and the readers, each with what broke it up to that version.",
    ),
    "schema export": (
        "schema.export:export",
        "Write a version as JSON Schema, or as a $jsonSchema validator for MongoDB.",
    ),
    "schema diff": (
        "schema.diff:diff",
        "Show what changed from version A to B: class, path, types, the event that caused it,"
        " when; and which pinned readers that breaks.",
    ),
    "schema signals": (
        "schema.signals:signals",
        "Show fields that vanished, and fields that were likely renamed with the line that"
        " keeps programs downstream going.",
    ),
    "schema explain": (
        "schema.explain:explain",
        "Tell what the payloads in FILE would change if they were delivered now, one by one.",
    ),
    "schema check": (
        "schema.check:check",
        "Tell which pinned readers the payloads in FILEs would break, or a planned change of them.",
    ),
    "schema pins": (
        "schema.pins:pins",
        "List the programs that are pinned, and their views.",
    ),
    "schema pin": (
        "schema.pins:pin",
        "Pin a program to a version of a subject: a view shows it exactly the fields of that"
        " version.",
    ),
    "schema unpin": (
        "schema.pins:unpin",
        "End the pin of a program, and drop its view.",
    ),
    "schema learn": (
        "schema.learn:learn",
        "Register what the sample payloads in FILEs show; the samples themselves are not stored.",
    ),
    "schema approve": (
        "schema.approve:approve",
        "Register what held deliveries bring, as one version, and replay them.",
    ),
    "schema reject": (
        "schema.reject:reject",
        "Reject a change of a schema, or list the changes that were rejected.",
    ),
    "schema backfill": (
        "schema.backfill:backfill",
        "Fill what older documents lack, without waiting for the service to do it.",
    ),
    "schema retire": (
        "schema.amend:retire",
        "Fill a field, and what lies below it, no longer; the field stays known.",
    ),
    "schema unmap": (
        "schema.amend:unmap",
        "Make a map an object again, whose keys are fields, whatever keys come.",
    ),
    "schema alias": (
        "schema.alias:alias",
        "Fill a field that events lack from another one, as where it was renamed, or with a value.",
    ),
    "schema unalias": (
        "schema.alias:unalias",
        "Fill a field by an alias no longer; what is stored stays.",
    ),
    "schema renumber": (
        "schema.amend:renumber",
        "Go on behind versions that were lost, as where a backup was restored beside newer events.",
    ),
    "secret": (
        "",
        "Change the secret that CXone signs with.",
    ),
    "secret rotate": (
        "secret:rotate",
        "Make a new shared secret; the one so far stays valid as the previous one.",
    ),
    "service": (
        "service.commands:service",
        "Install and run as a service of this machine.",
    ),
    "service install": (
        "service.commands:install",
        "Write, enable and start the service; again, bring it up to date.",
    ),
    "service uninstall": (
        "service.commands:uninstall",
        "Stop and remove the service; its settings and data stay.",
    ),
    "service start": (
        "service.commands:start",
        "Start the service and wait until it takes deliveries.",
    ),
    "service stop": (
        "service.commands:stop",
        "Stop the service; everything accepted is answered first.",
    ),
    "service restart": (
        "service.commands:restart",
        "Stop the service and start it again, with its settings as they are now.",
    ),
    "service status": (
        "service.commands:status",
        "Show whether the service runs; the exit status is 1 when it does not.",
    ),
    "service logs": (
        "service.commands:logs",
        "Show what the service logged last.",
    ),
    "spool": (
        "",
        "Look at what waits on this machine for MongoDB.",
    ),
    "spool status": (
        "spool:status",
        "Show how much waits, and since when.",
    ),
    "spool export": (
        "spool:export",
        "Copy what waits into a file, as JSON Lines; the spool stays as it is.",
    ),
    "spool drain": (
        "spool:drain",
        "Hand what waits to MongoDB, while no service runs on the data directory: one that"
        " runs does it by itself.",
    ),
}
# Groups that are commands themselves.
ALONE = frozenset({"adoption"})
# What commands were called in the release before: until the next one they go on, unlisted.
UNLISTED = frozenset({"datadog"})
# What options were called in the release before: until the next one they go on, unlisted.
FORMER: Mapping[str, Mapping[str, str]] = {
    "adoption": {"--subject": "--type"},
    "schema backfill": {"--subject": "--type"},
    "schema check": {"--subject": "--type"},
    "schema reject": {"--type": "--json-type"},
}

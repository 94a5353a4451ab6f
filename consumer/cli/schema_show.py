"""`schema show`: one version with all that the settings say of it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import typer

from consumer.cli.console import console, print_json, table
from consumer.cli.schema_parts import AsJson, Number, Parts, Subject, opened, version_of
from consumer.cli.schema_tree import field_documents, tree, unmatched
from consumer.schema.fillable import fills
from consumer.schema.model import SchemaVersion
from consumer.schema.paths import ANY_KEY, to_text
from consumer.schema.policy import Defaults


def show(
    ctx: typer.Context, subject: Subject, number: Number = None, as_json: AsJson = False
) -> None:
    """Show the fields of a version: types, since when, and what fills them."""
    with opened(ctx) as parts:
        version = version_of(parts.core, subject, number)
    facts = _facts(parts, version)
    defaults = parts.policy.of(subject).defaults
    if as_json:
        print_json({**facts, "fields": field_documents(version, defaults, parts.hidden)})
        return
    out = console()
    guards = facts["guards"]
    rows = [
        ("created", version.created_at),
        ("fields", f"{len(version.live)} of at most {guards['paths_per_subject']}"),
        ("maps", ", ".join(facts["maps"]) or None),
        ("contract", ", ".join(f"{name} = {value}" for name, value in facts["contract"].items())),
        ("defaults", facts["defaults"]),
        ("beyond the bound", facts["beyond_the_bound"] or None),
        ("pinned as maps", ", ".join(facts["pinned_maps"]) or None),
        ("pinned as objects", ", ".join(facts["pinned_objects"]) or None),
        ("defaults without a field", ", ".join(facts["defaults_without_field"]) or None),
        ("depth", f"at most {guards['depth']} levels"),
        ("versions an hour", f"at most {guards['versions_per_hour']}"),
    ]
    out.print(table(("", ""), [row for row in rows if row[1] is not None]))
    out.print(tree(version, defaults, parts.hidden))


def _facts(parts: Parts, version: SchemaVersion) -> dict[str, Any]:
    policy = parts.policy.of(version.subject)
    return {
        "subject": version.subject,
        "version": version.number,
        "created_at": version.created_at,
        "newest_fillable": version.newest_fillable,
        "maps": [
            to_text(parts.hidden.path(field.path, version.subject))
            for field in version.live
            if field.path[-1] == ANY_KEY
        ],
        "contract": asdict(policy.contract),
        "defaults": _kind(policy.defaults),
        "beyond_the_bound": 0 if policy.defaults.nothing else _beyond(version, policy.defaults),
        "defaults_without_field": list(map(to_text, unmatched(version, policy.defaults))),
        "pinned_maps": sorted(map(to_text, policy.pins.maps)),
        "pinned_objects": sorted(map(to_text, policy.pins.objects)),
        "guards": asdict(parts.policy.guards),
    }


def _kind(defaults: Defaults) -> str:
    return "none" if defaults.nothing else "typed" if defaults.typed else "null"


def _beyond(version: SchemaVersion, defaults: Defaults) -> int:
    return sum(fill.beyond for fill in fills(version, defaults).values())

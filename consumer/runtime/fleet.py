"""Compare how the processes of one database are set up, by facts in their signs of life."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from importlib.metadata import version
from types import MappingProxyType

from config.loading import Settings
from config.subjects import SubjectRules
from consumer.mongodb.client import Document
from consumer.monitoring.instances import SILENT_AFTER
from consumer.privacy.paths import Paths
from consumer.privacy.rules import AliasPairs, Redaction, no_aliases
from consumer.runtime.settings_map import redaction

# What processes of one database must agree on, by group: settings, and what stands in the tables
# of single subjects. No secrets: a digest of a short one could be guessed.
_GROUPS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = MappingProxyType(
    {
        "contracts": (
            (
                "cxone_schema_scope",
                "cxone_on_new_field",
                "cxone_on_type_conflict",
                "cxone_on_reader_break",
            ),
            ("on_new_field", "on_type_conflict", "on_reader_break", "maps", "objects"),
        ),
        "defaults": (("cxone_defaults",), ("defaults",)),
        "dedupe": (("cxone_dedupe", "cxone_id_field", "cxone_type_field"), ()),
    }
)
_NOT_TOLD = {"secret", "secret_previous"}
# A process that has more rules than this keeps them to itself: each sign of life carries them, for
# commands mask what any process masks. So many are 31 kB, and 1.4 ms more every ten seconds.
_MOST_RULES = 500


def facts(settings: Settings) -> Document:
    """Facts about the settings for a sign of life: a digest for each group, and the rules of
    CXONE_REDACT (None where they are too many)."""
    masks = redaction(settings)
    few = sum(map(len, (masks.general, *masks.subjects.values()))) <= _MOST_RULES
    return {"settings": _digests(settings), "redact": _plain(masks) if few else None}


def masks_of_all(
    settings: Settings,
    processes: Iterable[Document],
    aliases: Callable[[str | None], AliasPairs] = no_aliases,
) -> Redaction:
    """Join what these settings hide with what any of the processes does, under the `aliases`."""
    found = redaction(settings, aliases)
    general, subjects = set(found.general), dict(found.subjects)
    for process in processes:
        rules = (process.get("facts") or {}).get("redact") or {}
        general |= _paths(rules.get("general", ()))
        for each in rules.get("subjects", ()):
            subject = str(each["subject"])
            subjects[subject] = subjects.get(subject, frozenset()) | _paths(each["paths"])
    return replace(found, general=frozenset(general), subjects=subjects)


def differences(settings: Settings, processes: Iterable[Document]) -> Iterator[str]:
    """A sentence for each running process of this version whose settings say something else."""
    ours, ours_version = _digests(settings), version("cxone-consumer")
    for process in processes:
        if process["silent"] > SILENT_AFTER or process.get("version") != ours_version:
            continue
        known = process.get("facts") or {}
        theirs = known.get("settings") or {}
        differing = [name for name, digest in ours.items() if theirs.get(name, digest) != digest]
        where = f"the service on {process['host']} (process {process['pid']})"
        if differing:
            yield (
                f"the {' and '.join(differing)} of these settings are not those of {where}: name"
                " its file with --config, or its settings with --env-file"
            )
        if "redact" in known and known["redact"] is None:
            yield f"{where} masks more than {_MOST_RULES} fields, and this command only its own"


def _digests(settings: Settings) -> dict[str, str]:
    found = {
        name: _digest(
            [getattr(settings, field) for field in fields]
            + [
                (subject, [_json(getattr(rules, field)) for field in of_subject])
                for subject, rules in sorted(settings.subjects.items())
                if of_subject and _says_something(rules, of_subject)
            ]
        )
        for name, (fields, of_subject) in _GROUPS.items()
    }
    sources = {
        name: each.model_dump(exclude=_NOT_TOLD, mode="json")
        for name, each in settings.sources.items()
    }
    return {**found, "sources": _digest(sources)}


def _says_something(rules: SubjectRules, fields: Iterable[str]) -> bool:
    return any(getattr(rules, field) for field in fields)


def _json(value: object) -> object:
    return dict(value) if isinstance(value, Mapping) else value


def _digest(value: object) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plain(masks: Redaction) -> Document:
    return {
        "general": sorted(map(list, masks.general)),
        "subjects": [
            {"subject": subject, "paths": sorted(map(list, paths))}
            for subject, paths in sorted(masks.subjects.items())
            if paths
        ],
    }


def _paths(stored: Iterable[Iterable[str]]) -> Paths:
    return frozenset(tuple(map(str, path)) for path in stored)

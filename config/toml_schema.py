"""The JSON Schema of the TOML file, made of the settings table: for editors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from config import kinds, subjects
from config.settings import Settings, rows
from config.sources import SECRET_KEYS, SourceSettings

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_TEXT: Mapping[str, Any] = {"type": "string"}
_TEXTS: Mapping[str, Any] = {"type": ["array", "string"], "items": {"type": "string"}}
# Numbers may stand with their units, as text.
_TYPES: Mapping[type, Mapping[str, Any]] = {
    int: {"type": ["integer", "string"]},
    float: {"type": ["number", "string"]},
    tuple: _TEXTS,
}


def toml_schema() -> dict[str, Any]:
    """The schema of the whole file; names are in lower case, as the example has them."""
    found: dict[str, Any] = {}
    for row in rows():
        words = f"{row.help} Allowed: {row.allowed}."
        told: dict[str, Any] = {**_allowed(Settings.model_fields[row.field]), "description": words}
        if row.default:
            told["description"] += f" Default: {row.default}."
        for name in row.names:
            found[name.lower()] = told
            if row.secret:
                file = {"description": f"The file that holds {name.lower()}.", **_TEXT}
                found[f"{name.lower()}_file"] = file
    # A file names no other.
    del found["cxone_config"]
    found["sources"] = {"type": "object", "additionalProperties": _source()}
    found["subjects"] = {"type": "object", "additionalProperties": _subject()}
    return {
        "$schema": _DIALECT,
        "title": "Settings of cxone-consumer",
        **_object(found),
    }


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _source() -> dict[str, Any]:
    found = {
        name: {
            **_allowed(info),
            "description": f"{info.description} Allowed: {kinds.allowed(SourceSettings, name)}.",
        }
        for name, info in SourceSettings.model_fields.items()
    }
    files = {f"{name}_file": {"description": f"The file that holds {name}.", **_TEXT}
             for name in SECRET_KEYS}  # fmt: skip
    return _object({**found, **files})


def _subject() -> dict[str, Any]:
    return _object({key: dict(told) for key, told in subjects.JSON_SCHEMA.items()})


def _allowed(info: FieldInfo) -> Mapping[str, Any]:
    """The type of a value in TOML."""
    annotation = info.annotation
    if get_origin(annotation) is Literal:
        return {"enum": list(get_args(annotation))}
    inside = [annotation, *get_args(annotation)]
    for each in inside:
        kind = get_origin(each) or each
        if kind in _TYPES:
            return _TYPES[kind]
    return _TEXT

"""The schema of the TOML file takes what the settings take, and nothing that they do not know."""

from __future__ import annotations

import re
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from config.layers import _parse_toml
from config.settings import rows
from config.subjects import _READERS, JSON_SCHEMA
from config.toml_schema import toml_schema
from tests.support.places import ROOT

SCHEMA = Draft202012Validator(toml_schema())


def example() -> dict[str, Any]:
    text = (ROOT / "config" / "example.toml").read_text(encoding="utf-8")
    return _parse_toml(re.sub(r"^#(?=\S)", "", text, flags=re.MULTILINE))


def test_it_is_a_schema_and_takes_the_whole_example() -> None:
    Draft202012Validator.check_schema(toml_schema())

    assert len(example()) > len(rows()) / 2
    assert [each.message for each in SCHEMA.iter_errors(example())] == []


def test_every_setting_is_in_it_with_its_words() -> None:
    known = toml_schema()["properties"]

    assert all(row.help in known[row.field]["description"] for row in rows() if row.field in known)
    assert {row.field for row in rows()} - known.keys() == {"cxone_config"}
    assert JSON_SCHEMA.keys() == _READERS.keys()


@pytest.mark.parametrize(
    "wrong",
    [
        {"cxone_treads": 4},
        {"cxone_dedupe": "both"},
        {"cxone_threads": [1]},
        {"subjects": {"t": {"on_new_fields": "hold"}}},
        {"sources": {"voice": {"prof": "token"}}},
    ],
)
def test_what_the_settings_do_not_know_is_marked(wrong: dict[str, Any]) -> None:
    assert list(SCHEMA.iter_errors(wrong))

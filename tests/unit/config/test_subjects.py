"""Rules of the `[subjects]` tables, and which of several holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.loading import Settings, SettingsError, load


def read(tmp_path: Path, text: str, environ: dict[str, str] | None = None) -> Settings:
    config_file = tmp_path / "c.toml"
    config_file.write_text(text)
    return load({}, environ or {}, None, config_file)


def test_subject_tables_hold_contracts_defaults_and_pins(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        """
        [subjects."contact.created"]
        on_new_field = "hold"
        defaults = { "agent.name" = "unknown", "n" = 0, "list" = [1, { a = true }] }
        maps = ["metrics"]
        objects = ["agent"]
        """,
    )

    rules = settings.subjects["contact.created"]

    assert rules.on_new_field == "hold"
    assert rules.on_type_conflict is None
    assert dict(rules.defaults) == {"agent.name": "unknown", "n": 0, "list": [1, {"a": True}]}
    assert (rules.maps, rules.objects) == (("metrics",), ("agent",))


def test_the_table_of_a_subject_wins_over_that_for_all_and_that_over_the_settings(
    tmp_path: Path,
) -> None:
    settings = read(
        tmp_path,
        """
        cxone_on_type_conflict = "hold"
        [subjects."*"]
        on_new_field = "hold"
        defaults = { a = 1, b = 1 }
        maps = ["x", "y"]
        [subjects.call]
        on_new_field = "evolve"
        defaults = { b = 2 }
        objects = ["x"]
        """,
    )

    call, other = settings.rules_for("call"), settings.rules_for("other")

    assert (call.on_new_field, call.on_type_conflict) == ("evolve", "hold")
    assert (other.on_new_field, other.on_type_conflict) == ("hold", "hold")
    assert dict(call.defaults) == {"a": 1, "b": 2}
    assert (call.maps, call.objects) == (("y",), ("x",))
    assert (other.maps, other.objects) == (("x", "y"), ())


def test_without_tables_the_global_contract_holds() -> None:
    rules = load({}, {"CXONE_ON_NEW_FIELD": "hold"}).rules_for("any")

    assert (rules.on_new_field, rules.on_type_conflict) == ("hold", "evolve")


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("[subjects.call]\non_new_fields = 'hold'", "unknown key 'on_new_fields'"),
        ("[subjects.call]\non_new_field = 'reject'", "on_new_field = 'reject' is not allowed"),
        ("[subjects.call]\nmaps = 'a'", "maps = 'a' is not allowed"),
        ("[subjects.call]\nmaps = ['']", "maps = a value of type list is not allowed"),
        ("[subjects.call]\nobjects = [1]", "objects = a value of type list is not allowed"),
        ("[subjects.call]\nmaps = ['a']\nobjects = ['a']", "'a' is pinned as map and as object"),
        ("[subjects.call]\ndefaults = 1", "defaults = 1 is not allowed"),
        ("[subjects.call.defaults]\na = 2024-01-01", "is not allowed"),
        ("[subjects.call.defaults]\na = nan", "is not allowed"),
        ("[subjects.call.defaults]\na = 9223372036854775808", "is not allowed"),
        ("[subjects.call.defaults]\na" + ".a" * 100 + " = 1", "is not allowed"),
        ('[subjects.call.defaults]\n"" = 1', "is not allowed"),
        ('[subjects.""]', "not an event type"),
        ("[subjects." + "x" * 257 + "]", "not an event type"),
        ("[subjects]\ncall = 'hold'", "not a table"),
        ("[[subjects]]", "not a table"),
    ],
)
def test_what_a_subject_table_cannot_say_is_a_fault(
    tmp_path: Path, content: str, fault: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, content)

    (found,) = caught.value.faults
    assert fault in str(found)
    assert len(str(found)) < 400


def test_all_faults_of_all_tables_are_reported(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, "x = 1\n[subjects.a]\nmaps = 1\nobjects = 1\n[subjects.b]\ny = 1")

    assert len(caught.value.faults) == 4


def test_defaults_beside_a_setting_that_fills_nothing_are_a_fault(tmp_path: Path) -> None:
    text = """
        [subjects."*"]
        defaults = { a = 1 }
        [subjects.call]
        maps = ["x"]
        [subjects.case]
        defaults = { b = 1 }
        """

    with pytest.raises(SettingsError) as caught:
        read(tmp_path, text, {"CXONE_DEFAULTS": "none"})

    assert [fault.name for fault in caught.value.faults] == [
        'defaults of [subjects."*"]',
        'defaults of [subjects."case"]',
    ]
    assert read(tmp_path, text, {"CXONE_DEFAULTS": "typed"}).cxone_defaults == "typed"

"""Values that each kind of setting takes; the table and the example file tell the truth."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

import config
from config.loading import Row, Settings, SettingsError, load, rows
from config.sources import SourceSettings

EXAMPLE = Path(config.__file__).with_name("example.toml")
_PATHS = ("cxone_data_dir", "cxone_config")
_ASKS_FOR_HOMES = pytest.mark.skipif(
    sys.platform == "win32", reason="Python takes the home of another for a folder beside ours"
)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("cxone_max_body_bytes", "65536", 65536),
        ("cxone_max_body_bytes", "512KiB", 524_288),
        ("cxone_max_body_bytes", "1 mb", 1_000_000),
        ("cxone_max_body_bytes", "1.5MiB", 1_572_864),
        ("cxone_max_body_bytes", "2MiB", 2_097_152),
        ("cxone_refused_max_bytes", "0", 0),
        ("cxone_request_timeout", "5", 5.0),
        ("cxone_request_timeout", "1.5", 1.5),
        ("cxone_store_timeout", "250ms", 0.25),
        ("cxone_request_timeout", "30s", 30.0),
        ("cxone_request_timeout", "5m", 300.0),
        ("cxone_request_timeout", "1H", 3600.0),
        ("cxone_threads", " 8 ", 8),
        ("cxone_reject_status", "202", 202),
        ("cxone_signature_encoding", "HEX", "hex"),
        ("cxone_listen", "0.0.0.0:80", "0.0.0.0:80"),
        ("cxone_listen", "[::1]:8080", "[::1]:8080"),
        ("cxone_listen", "web-1.example:0", "web-1.example:0"),
        ("cxone_id_field", "/meta/~0id~1", "/meta/~0id~1"),
        ("cxone_id_field", "a.b", "a.b"),
        ("dd_tags", "env:prod, team:care  a,", ("env:prod", "team:care", "a")),
        ("dd_tags", ",", ()),
        ("dd_url", "https://intake.example:8443/", "https://intake.example:8443"),
        ("cxone_signature_prefix", "sha256=", "sha256="),
        ("cxone_signed_content", " BODY ", "body"),
        ("cxone_signed_content", "{body}", "{body}"),
        ("cxone_signed_content", "V0 %s:{body}", "V0 %s:{body}"),
        ("cxone_data_dir", "~", Path("~").expanduser()),
        ("log_level", "WARNING", "warning"),
    ],
)
def test_values_are_read_from_text(name: str, text: str, value: object) -> None:
    assert getattr(load({}, {name.upper(): text}), name) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("cxone_max_body_bytes", "2MiB1"),
        ("cxone_max_body_bytes", "2097153"),
        ("cxone_max_body_bytes", "65536.5"),
        ("cxone_max_body_bytes", "-1"),
        ("cxone_max_body_bytes", "1MiBs"),
        ("cxone_max_body_bytes", "\u0661MB"),
        ("cxone_request_timeout", "nan"),
        ("cxone_request_timeout", "inf"),
        ("cxone_request_timeout", "1d"),
        ("cxone_request_timeout", "0"),
        ("cxone_threads", "1_0"),
        ("cxone_threads", "1.0"),
        ("cxone_threads", "257"),
        ("cxone_threads", "9" * 5000),
        ("cxone_store_max_depth", "101"),
        ("cxone_log_hex_bytes", "1025"),
        ("cxone_reject_status", "200"),
        ("cxone_schema_scope", "event_type"),
        ("cxone_listen", "8080"),
        ("cxone_listen", ":8080"),
        ("cxone_listen", "::1:8080"),
        ("cxone_listen", "[::g]:8080"),
        ("cxone_listen", "localhost:65536"),
        ("cxone_listen", "local host:80"),
        ("cxone_signature_header", "X_Nice_Signature"),
        ("cxone_timestamp_header", "x-time_stamp"),
        ("cxone_signature_header", "X Nice"),
        ("cxone_signature_header", "X-Nice:"),
        ("cxone_signature_header", "X-Nicé"),
        ("cxone_signature_header", "X-Nice\n"),
        ("cxone_timestamp_header", "a\r\nb"),
        ("cxone_signature_prefix", "a\nb"),
        ("cxone_signed_content", "body.timestamp"),
        ("cxone_signed_content", "{body}.{timestamp}"),
        ("cxone_signed_content", "{body}.{body}"),
        ("cxone_signed_content", "{body}}"),
        ("cxone_signed_content", "{{body}"),
        ("cxone_signed_content", "{body.__class__}{body}"),
        ("cxone_signed_content", "{0}{body}"),
        ("cxone_signed_content", "{ID}.{body}"),
        ("cxone_signed_content", "{timestamp}{body}"),
        ("cxone_signed_content", "{id}{timestamp}.{body}"),
        ("cxone_signed_content", "{id}a{body}"),
        ("cxone_signed_content", "é{body}"),
        ("cxone_signed_content", "a\n{body}"),
        ("cxone_signed_content", "x" * 251 + "{body}"),
        ("cxone_id_field", "/a~2"),
        ("cxone_type_field", "x" * 257),
        ("mongodb_uri", "localhost:27017"),
        ("mongodb_database", "a/b"),
        ("mongodb_database", "x" * 64),
        ("dd_site", "https://datadoghq.eu"),
        ("dd_url", "ftp://intake"),
        ("dd_url", "https://"),
        ("dd_url", "https://a:99999"),
        *(pytest.param(name, "~no_such_user_here/x", marks=_ASKS_FOR_HOMES) for name in _PATHS),
        ("log_level", "loud"),
    ],
)
def test_values_out_of_bounds_or_of_another_form_are_faults(name: str, text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load({}, {name.upper(): text})

    (fault,) = caught.value.faults
    assert fault.name == name.upper()
    assert fault.allowed
    assert "not allowed" in fault.problem


def test_bounds_hold_for_settings_made_directly() -> None:
    with pytest.raises(ValueError, match="less than or equal to 256"):
        Settings(cxone_threads=257)


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.name)
def test_every_row_is_told_whole(row: Row) -> None:
    assert row.help.endswith((".", "=."))
    assert row.allowed
    assert row.name == row.name.upper()
    assert row.secret == (
        row.name.endswith(
            ("SECRET", "_PREVIOUS", "_KEY", "_URI", "_PASSWORD", "_PROXY_HTTPS", "HTTPS_PROXY")
        )
    )


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.name)
def test_the_default_that_is_shown_is_the_default_that_holds(row: Row) -> None:
    built_in = getattr(load({}, {}), row.field)

    assert getattr(load({}, {row.name: row.default}), row.field) == built_in
    assert bool(row.default) == (built_in not in (None, "", ()))


def test_masked_shows_what_can_be_read_again() -> None:
    shown = load({}, {"CXONE_STORE_TIMEOUT": "0.25", "DD_TAGS": "b a"}).masked()

    assert shown["CXONE_STORE_TIMEOUT"] == "250ms"
    assert shown["CXONE_MAX_BODY_BYTES"] == "1MiB"
    assert shown["CXONE_TIMESTAMP_TOLERANCE"] == "5m"
    assert shown["DD_TAGS"] == "b,a"
    assert shown["MONGODB_URI"] == ""


def test_the_example_tells_every_key_of_a_source() -> None:
    table = EXAMPLE.read_text("utf-8").partition("#[sources.voice]")[2].partition("\n\n")[0]

    assert re.findall(r"(?m)^#(\w+) = ", table) == list(SourceSettings.model_fields)


def test_the_example_loads_as_it_is_and_with_every_line_in_use(tmp_path: Path) -> None:
    used = tmp_path / "used.toml"
    used.write_text(re.sub(r"(?m)^#(?=\S)", "", EXAMPLE.read_text("utf-8")), "utf-8")

    as_shipped, in_use = load({}, {}, None, EXAMPLE), load({}, {}, None, used)

    assert set(as_shipped.subjects) == set()
    assert set(in_use.subjects) == {"*", "contact.created"}
    assert in_use.rules_for("contact.created").on_new_field == "hold"
    assert in_use.sources["voice"].id == ("contactId", "/call/sequence")
    for row in rows():
        if row.name != "CXONE_CONFIG":
            assert getattr(in_use, row.field) == getattr(as_shipped, row.field)


# A config file names no other, so this one setting is not in the example.
IN_THE_EXAMPLE = [row for row in rows() if row.name != "CXONE_CONFIG"]


@pytest.mark.parametrize("row", IN_THE_EXAMPLE, ids=lambda row: row.name)
def test_the_example_tells_every_setting_with_its_help_and_default(row: Row) -> None:
    example = EXAMPLE.read_text("utf-8")

    found = re.search(rf"\n\n((?:# .*\n)+)#{row.field} = (.*)\n", example)

    assert found
    text = " ".join(line.removeprefix("# ") for line in found[1].splitlines())
    assert text == f"{row.help} Allowed: {row.allowed}."
    assert found[2].strip("\"'[]") == row.default

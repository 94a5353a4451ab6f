"""Every setting of the program, one row each: adding one is adding a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, SecretStr, SkipValidation
from pydantic.fields import FieldInfo

from config import kinds, subjects
from config.kinds import Choice, Kind
from config.signing import MAIN, Encoding, SecretFormat
from config.sources import MAIN_PATH, Proof, SourceSettings
from config.subjects import Policy, SubjectRules

# Stands for what is hidden, everywhere.
MASK = "********"
_MIB = 1 << 20


def _row(
    default: Any,
    help_: str,
    aliases: Sequence[str] = (),
    *,
    ge: float | None = None,
    le: float | None = None,
) -> Any:
    extra: dict[str, Any] = {"aliases": aliases, "from": ge, "to": le}
    return Field(default, description=help_, ge=ge, le=le, json_schema_extra=extra)


class Settings(BaseModel, frozen=True):
    """The settings of the program, checked. Secrets are SecretStr, masked wherever one is shown.

    The attribute of a setting is its name in lower case. Sizes are bytes, times are seconds.
    """

    model_config = ConfigDict(
        extra="forbid", hide_input_in_errors=True, arbitrary_types_allowed=True
    )

    # -- who may send, and how it is proven -----------------------------------------------------
    cxone_shared_secret: kinds.Secret = _row(
        None, "The secret CXone signs with.", ["SHARED_SECRET"]
    )
    cxone_shared_secret_previous: kinds.Secret = _row(
        None, "The secret before the last change, accepted as well while senders still use it."
    )
    cxone_secret_format: Annotated[SecretFormat, Choice] = _row(
        "text",
        "How the secrets are written: as they are (text), or their bytes in base64, in hex, or as "
        "whsec_ and base64 (Standard Webhooks).",
    )
    cxone_signature_header: kinds.Header = _row(
        "X-Nice-Webhook-Signature", "The request header that carries the signature."
    )
    cxone_signature_encoding: Annotated[Encoding, Choice] = _row(
        "base64",
        "How the signature is written; base64-unpadded and base64url may lack the = at the end.",
    )
    cxone_signature_prefix: kinds.Text = _row(
        "", "Text in front of the signature in its header, like sha256=."
    )
    cxone_several_signatures: Annotated[Literal["on", "off"], Choice] = _row(
        "off",
        "The header may list up to 16 signatures, each with the prefix, between blanks or commas; "
        "one that is right is enough.",
    )
    cxone_signed_content: kinds.SignedContent = _row(
        "body",
        "What is signed: the body; or the timestamp header, a dot and the body; or a template with "
        "{body} at its end, like {id}.{timestamp}.{body} (Standard Webhooks).",
    )
    cxone_timestamp_header: kinds.OptionalHeader = _row(
        None,
        "The header with the signed time in Unix seconds or milliseconds; "
        "required where CXONE_SIGNED_CONTENT has the timestamp.",
    )
    cxone_signed_id_header: kinds.OptionalHeader = _row(
        None,
        "The header with the {id} of CXONE_SIGNED_CONTENT, required there; an id with a dot is "
        "refused.",
    )
    cxone_timestamp_tolerance: kinds.Seconds = _row(
        300.0, "How far a signed time may be from ours.", ge=1, le=86_400
    )
    cxone_proof: Annotated[Proof, Choice] = _row(
        "hmac",
        "The way senders prove themselves: hmac over the body, or the shared secret itself as"
        " token, as password of basic, or for tokens of oauth2.",
    )
    cxone_preset: kinds.PresetName = _row(
        None, "Values for a known way of sending; what is set beside it wins."
    )
    # -- what an event is -----------------------------------------------------------------------
    cxone_id_field: kinds.IdPlaces = _row("id", "The payload field that holds the event id.")
    cxone_type_field: kinds.TypePlace = _row("type", "The payload field that holds the event type.")
    cxone_dedupe: Annotated[Literal["content", "id"], Choice] = _row(
        "content",
        "What makes two deliveries the same event: type, id and the same bytes (content), "
        "or type and id alone (id).",
    )
    cxone_reject_status: Annotated[Literal[400, 202], Choice] = _row(
        400, "Answer to a body that is kept as dead letter; 202 for senders that count 4xx."
    )
    cxone_redact: kinds.Paths = _row(
        (),
        "Fields whose values are masked wherever payloads are shown or exported (what is stored "
        "stays): paths, **.phone for any depth, or JSON Pointers; in any case of letters.",
    )
    # -- HTTP -----------------------------------------------------------------------------------
    cxone_listen: kinds.Listen = _row("127.0.0.1:8080", "Where the service listens.")
    cxone_threads: kinds.Whole = _row(
        16, "Threads that handle deliveries, each many at a time.", ge=1, le=256
    )
    cxone_max_body_bytes: kinds.Size = _row(
        _MIB, "A larger body is answered 413.", ge=1024, le=2 * _MIB
    )
    cxone_max_waiting: kinds.Whole = _row(
        500, "Requests that may wait for a thread; more are answered 503.", ge=1, le=100_000
    )
    cxone_max_waiting_bytes: kinds.Size = _row(
        64 * _MIB,
        "Memory for bodies over 64 KiB that arrive or wait; more are answered 503.",
        ge=4 * _MIB,
        le=1 << 36,
    )
    cxone_max_connections: kinds.Whole = _row(
        1000,
        "Open connections, on Windows 500 at most; beyond them the idlest are closed.",
        ge=16,
        le=100_000,
    )
    cxone_request_timeout: kinds.Seconds = _row(
        30.0,
        "A request must have arrived whole by then, and its answer be taken in as long again.",
        ge=1,
        le=3600,
    )
    cxone_idle_timeout: kinds.Seconds = _row(
        75.0,
        "How long a connection stays open without a request; longer than the balancer's.",
        ge=1,
        le=3600,
    )
    cxone_drain_timeout: kinds.Seconds = _row(
        30.0, "How long a stopping service answers what it accepted.", ge=0, le=3600
    )
    cxone_store_timeout: kinds.Seconds = _row(
        5.0, "How long jobs and commands wait for MongoDB.", ge=0.05, le=300
    )
    cxone_spool_after: kinds.Seconds = _row(
        0.25,
        "How long a delivery waits for MongoDB before it is spooled; senders may wait 1 s.",
        ge=0.05,
        le=300,
    )
    cxone_trusted_proxies: kinds.Networks = _row(
        (IPv4Network("127.0.0.1"), IPv6Network("::1")),
        "Proxies whose X-Forwarded-For and X-Forwarded-Proto are believed.",
    )
    # -- console --------------------------------------------------------------------------------
    cxone_console_password: kinds.Secret = _row(
        None, "The password of the console at /console; without it there is no console."
    )
    cxone_console_session: kinds.Seconds = _row(
        8 * 3600.0, "How long a login to the console lasts.", ge=60, le=7 * 86_400
    )
    cxone_console_hosts: kinds.HostNames = _row(
        (), "Names under which browsers reach the console, beside localhost and IP addresses."
    )
    # -- MongoDB and local files ----------------------------------------------------------------
    mongodb_uri: kinds.MongoUri = _row(None, "Where MongoDB is.", ["MONGO_URI"])
    mongodb_server_api: kinds.ServerApi = _row(
        None, "The version of MongoDB's stable API to declare, for servers that require one."
    )
    mongodb_database: kinds.Database = _row("cxone_events", "The database that is used.")
    cxone_data_dir: kinds.Folder = _row(
        Path("data"), "The folder for what is kept on this machine; one process owns it."
    )
    cxone_spool_max_bytes: kinds.Size = _row(
        1024 * _MIB,
        "Disk space for deliveries that MongoDB cannot take just now.",
        ge=32 * _MIB,
        le=1 << 40,
    )
    cxone_drain_workers: kinds.Whole = _row(
        8, "Spooled deliveries handed to MongoDB at the same time.", ge=1, le=64
    )
    cxone_refused_max_count: kinds.Whole = _row(
        1000,
        "Deliveries kept whose signature failed, half of them for known senders; 0 keeps none.",
        ge=0,
        le=1_000_000,
    )
    cxone_refused_max_bytes: kinds.Size = _row(
        64 * _MIB, "Room for deliveries whose signature failed.", ge=0, le=1 << 40
    )
    cxone_lease_time: kinds.Seconds = _row(
        30.0,
        "How long a job of a process that died keeps the other processes waiting.",
        ge=3,
        le=600,
    )
    cxone_sweep_interval: kinds.Seconds = _row(
        30.0, "How often dead letters whose time has come are tried again.", ge=1, le=86_400
    )
    cxone_retry_attempts: kinds.Whole = _row(
        10, "Attempts after which a dead letter is parked for a person.", ge=1, le=1000
    )
    cxone_auto_repair: Annotated[Literal["on", "off"], Choice] = _row(
        "on",
        "Try a malformed body once with raw control characters escaped and a byte-order mark "
        "removed.",
    )
    cxone_dead_letter_retention_days: kinds.Whole = _row(
        30, "Days after which resolved and discarded dead letters are deleted.", ge=1, le=36_500
    )
    cxone_retention_days: kinds.Whole = _row(
        0, "Days after which MongoDB deletes events; 0 keeps them.", ge=0, le=20_000
    )
    cxone_audit_retention_days: kinds.Whole = _row(
        0, "Days after which the record of what people did is deleted; 0 keeps it.", ge=0, le=20_000
    )
    cxone_store_max_depth: kinds.Whole = _row(
        100, "Deeper payloads become dead letters.", ge=1, le=100
    )
    # -- schema ---------------------------------------------------------------------------------
    cxone_schema_scope: Annotated[Literal["type", "collection"], Choice] = _row(
        "type", "One schema for each event type, or one for the whole collection."
    )
    cxone_defaults: Annotated[Literal["null", "typed", "none"], Choice] = _row(
        "null",
        'What fills a known field that was not sent: null, or "", 0, false, [], {} by type, or '
        "nothing at all (none).",
    )
    cxone_fill_max_bytes: kinds.Size = _row(
        65_536, "What filling may add to a document, by the schema.", ge=0, le=8 * _MIB
    )
    cxone_fill_max_fields: kinds.Whole = _row(
        1000, "How many fields of a schema are filled at most.", ge=0, le=10_000
    )
    cxone_on_new_field: Annotated[Policy, Choice] = _row(
        "evolve", "A new field makes a new version, or holds the delivery until it is approved."
    )
    cxone_on_type_conflict: Annotated[Policy, Choice] = _row(
        "evolve", "The same for a field that comes with another type."
    )
    cxone_on_reader_break: Annotated[Policy, Choice] = _row(
        "evolve", "The same for what breaks a pinned reader, a widened type included."
    )
    cxone_schema_max_depth: kinds.Whole = _row(
        32, "Deeper fields are stored but not in the schema.", ge=1, le=100
    )
    cxone_schema_max_paths: kinds.Whole = _row(
        2000, "Fields in the schema of a subject, and read of one event.", ge=1, le=100_000
    )
    cxone_schema_max_subjects: kinds.Whole = _row(
        1000, "Subjects with a schema.", ge=1, le=1_000_000
    )
    cxone_schema_max_versions_per_hour: kinds.Whole = _row(
        60, "New versions of a subject in an hour.", ge=1, le=1_000_000
    )
    cxone_map_min_children: kinds.Whole = _row(
        100,
        "An object with more children of one shape, of which an event sends less than half, is a"
        " map: one * path; so is one with five times as many in one event.",
        ge=2,
        le=100_000,
    )
    cxone_max_pins: kinds.Whole = _row(
        500, "Pins of readers, each with a view that MongoDB keeps in memory.", ge=0, le=10_000
    )
    cxone_backfill_interval: kinds.Seconds = _row(
        60.0, "How often older documents are looked for that lack fields.", ge=1, le=86_400
    )
    cxone_backfill_quiet: kinds.Seconds = _row(
        60.0, "How long a schema must stand unchanged before that.", ge=0, le=86_400
    )
    cxone_backfill_batch: kinds.Whole = _row(
        500, "Older documents filled at once at most.", ge=1, le=10_000
    )
    cxone_backfill_pause: kinds.Seconds = _row(
        0.1, "How long a backfill rests between batches at least.", ge=0, le=60
    )
    cxone_adoption_interval: kinds.Seconds = _row(
        60.0, "How often it is counted how far schema versions have spread.", ge=5, le=3600
    )
    cxone_statistics_max_bytes: kinds.Size = _row(
        500_000_000,
        "Room in MongoDB for statistics of how often fields are sent, the oldest days out first; "
        "0 makes none.",
        ge=0,
        le=1 << 40,
    )
    # -- Datadog --------------------------------------------------------------------------------
    dd_api_key: kinds.Secret = _row(
        None, "Without it metrics are at /metrics, and in the log at debug.", ["DATADOG_API_KEY"]
    )
    dd_app_key: kinds.Secret = _row(None, "Accepted, never required.", ["DATADOG_APP_KEY"])
    dd_site: kinds.HostName = _row("datadoghq.com", "The Datadog site.")
    dd_url: kinds.OptionalWebAddress = _row(None, "Another intake for metrics and events.")
    dd_proxy_https: kinds.Proxy = _row(
        None, "The proxy on the way to Datadog; without it that of HTTPS_PROXY."
    )
    # Those of all programs: what we cannot use of them must not stop the start.
    https_proxy: kinds.Secret = _row(None, "The same for all programs of this machine.")
    no_proxy: kinds.Words = _row(
        "", "Hosts, domains and networks that are reached without a proxy; * for all."
    )
    dd_env: kinds.OptionalText = _row(None, "The tag env.")
    dd_service: kinds.Text = _row("cxone-consumer", "The tag service.")
    dd_version: kinds.OptionalText = _row(
        None, "The tag version; without it the version of this program."
    )
    dd_hostname: kinds.OptionalText = _row(None, "The host; without it the name of this machine.")
    dd_tags: kinds.Tags = _row((), "More tags on every metric.")
    cxone_report_interval: kinds.Seconds = _row(
        60.0, "How often metrics are reported to Datadog.", ge=10, le=600
    )
    cxone_report_buffer: kinds.Whole = _row(
        50_000,
        "Points kept for Datadog, an hour at most, while it cannot take them.",
        ge=1000,
        le=1_000_000,
    )
    # -- this program ---------------------------------------------------------------------------
    log_level: Annotated[Literal["debug", "info", "warning", "error", "critical"], Choice] = _row(
        "info", "The least level that is logged."
    )
    log_format: Annotated[Literal["console", "json"], Choice] = _row(
        "console", "Lines for people, or one JSON object a line."
    )
    cxone_log_hex_bytes: kinds.Whole = _row(
        64, "Bytes logged in hex around the fault of a malformed body; 0 logs none.", ge=0, le=1024
    )
    cxone_config: kinds.OptionalFile = _row(
        None, "A TOML file with any of these settings; --config names it too."
    )

    # Not a row: the `[subjects."…"]` tables of the TOML file.
    subjects: Annotated[Mapping[str, SubjectRules], SkipValidation, PlainSerializer(dict)] = Field(
        default_factory=lambda: MappingProxyType({})
    )

    # Nor these: its `[sources.NAME]` tables.
    sources: Annotated[Mapping[str, SourceSettings], SkipValidation, PlainSerializer(dict)] = Field(
        default_factory=lambda: MappingProxyType({})
    )

    # Nor these: in words where each setting that was given came from, by field.
    origins: Annotated[Mapping[str, str], SkipValidation] = Field(
        default_factory=lambda: MappingProxyType({}), exclude=True, repr=False
    )

    @property
    def main(self) -> SourceSettings:
        """The main source: what the settings without a table say."""
        values = {key: getattr(self, field) for key, field in MAIN_FIELDS.items()}
        if MAIN_FIELDS["header"] not in self.model_fields_set:
            # Without one the proof decides.
            values["header"] = None
        return SourceSettings.model_construct(path=MAIN_PATH, **values)

    @property
    def every_source(self) -> dict[str, SourceSettings]:
        """All sources by name, the main one first."""
        return {MAIN: self.main, **self.sources}

    @property
    def id_field(self) -> str:
        """The first place of the id in payloads."""
        return next(iter(self.main.fields_of_id), "id")

    def rules_for(self, subject: str) -> SubjectRules:
        """The rules of a subject: its own table, else that of `"*"`, else the global settings."""
        general = SubjectRules(
            self.cxone_on_new_field, self.cxone_on_type_conflict, self.cxone_on_reader_break
        )
        own = self.subjects.get(subject, SubjectRules())
        return own.over(self.subjects.get(subjects.ALL, SubjectRules()).over(general))

    def masked(self) -> dict[str, str]:
        """Each setting by name as text that may be shown: no secret, "" where it is not set."""
        return {row.name: row.show(getattr(self, row.field)) for row in rows()}


# The settings of the main source by the keys that other sources have for the same.
MAIN_FIELDS: Mapping[str, str] = MappingProxyType(
    {
        "proof": "cxone_proof",
        "header": "cxone_signature_header",
        "encoding": "cxone_signature_encoding",
        "prefix": "cxone_signature_prefix",
        "signed": "cxone_signed_content",
        "timestamp_header": "cxone_timestamp_header",
        "id_header": "cxone_signed_id_header",
        "several": "cxone_several_signatures",
        "secret_format": "cxone_secret_format",
        "tolerance": "cxone_timestamp_tolerance",
        "secret": "cxone_shared_secret",
        "secret_previous": "cxone_shared_secret_previous",
        "id": "cxone_id_field",
        "type": "cxone_type_field",
    }
)


@dataclass(frozen=True, slots=True)
class Row:
    """One setting as text for people: read by checks, help and the table in .github/SETTINGS.md."""

    field: str
    aliases: tuple[str, ...]
    allowed: str
    default: str
    help: str
    secret: bool
    kind: Kind

    @property
    def name(self) -> str:
        return self.field.upper()

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, *self.aliases)

    def show(self, value: object) -> str:
        if value is None:
            return ""
        return MASK if self.secret else self.kind.show(value)


def rows() -> tuple[Row, ...]:
    """The table, in the order people should read it."""
    return tuple(
        _as_row(name, info) for name, info in Settings.model_fields.items() if info.description
    )


def _as_row(name: str, info: FieldInfo) -> Row:
    kind = kinds.kind_of(info)
    extra: Any = info.json_schema_extra
    return Row(
        field=name,
        aliases=tuple(extra["aliases"]),
        allowed=kind.allowed + _bounds(extra, kind) or kinds.words(info),
        default="" if info.default is None else kind.show(info.default),
        help=info.description or "",
        secret=SecretStr in get_args(info.annotation),
        kind=kind,
    )


def _bounds(extra: Mapping[str, Any], kind: Kind) -> str:
    if extra["from"] is None:
        return ""
    return f", from {kind.show(extra['from'])} to {kind.show(extra['to'])}"

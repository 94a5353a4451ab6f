"""Read the `[sources.NAME]` tables: senders with a path, a proof, and places of id and type of
their own."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Annotated, Any, Literal
from urllib.parse import unquote

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from config import kinds
from config.faults import Fault, Wrong, shown
from config.kinds import Choice
from config.layers import Entry, has_control, resolved
from config.presets import PRESETS
from config.signing import CONST, HEADER, MAIN, Encoding, SecretFormat, secret_key, signed_parts

MAIN_PATH = "/webhook/cxone-dataaction"
TOKEN_PATH = "/oauth2/token"  # noqa: S105
Proof = Literal["hmac", "token", "basic", "oauth2"]
# Bytes: of a token or password of fewer, guessing finds it.
SHORTEST_CREDENTIAL = 16
_MOST = 100
_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
# `CXONE_SOURCE_VOICE_SECRET`, also of the previous one, also of a file.
_VARIABLE = re.compile(r"CXONE_SOURCE_(.{1,64}?)_(SECRET(?:_PREVIOUS)?(?:_FILE)?)", re.IGNORECASE)
_PATH = re.compile(r"(?:/[A-Za-z0-9._~-]{1,128}){1,8}")
_OURS = ("/console", "/healthz", "/metrics", TOKEN_PATH, "/readyz")
_SECRETS = ("secret", "secret_previous")
_SIGNATURE = "X-Nice-Webhook-Signature"
_FILE = "_file"
SECRET_KEYS = ("secret", "secret_previous")
# Longer ones are cut with their header, and so would never match.
_LONGEST_CREDENTIAL = 512


class SourceSettings(BaseModel, frozen=True):
    """One source, checked. Secrets are SecretStr; times are seconds. `header` and `prefix` are None
    where the proof decides."""

    model_config = ConfigDict(
        extra="forbid", hide_input_in_errors=True, arbitrary_types_allowed=True
    )

    path: kinds.Text = Field("", description="Where it posts to; default /webhook/ and its name.")
    proof: Annotated[Proof, Choice] = Field("hmac", description="The way it proves itself.")
    preset: kinds.PresetName = Field(None, description="A row of the presets; what is set wins.")
    header: kinds.OptionalHeader = Field(
        None, description="The header of the signature or token; a token's is Authorization."
    )
    prefix: kinds.OptionalText = Field(
        None, description='Text before it in the header; "Bearer " in Authorization.'
    )
    user: kinds.OptionalText = Field(
        None, description="The user name of basic; default the name of the source."
    )
    encoding: Annotated[Encoding, Choice] = Field(
        "base64", description="As CXONE_SIGNATURE_ENCODING."
    )
    signed: kinds.SignedContent = Field("body", description="As CXONE_SIGNED_CONTENT.")
    timestamp_header: kinds.OptionalHeader = Field(None, description="As CXONE_TIMESTAMP_HEADER.")
    id_header: kinds.OptionalHeader = Field(None, description="As CXONE_SIGNED_ID_HEADER.")
    several: Annotated[Literal["on", "off"], Choice] = Field(
        "off", description="As CXONE_SEVERAL_SIGNATURES."
    )
    secret_format: Annotated[SecretFormat, Choice] = Field(
        "text", description="As CXONE_SECRET_FORMAT."
    )
    tolerance: kinds.Seconds = Field(300.0, ge=1, le=86_400, description="Of the signed time.")
    secret: kinds.Secret = Field(None, description="The secret, token or password.")
    secret_previous: kinds.Secret = Field(None, description="The one before, accepted as well.")
    id: kinds.IdPlaces = Field("id", description="Places of the id.")
    type: kinds.TypePlace = Field("type", description="The place of the type.")
    subject_prefix: kinds.Text = Field("", description="Text before each type.")

    @property
    def places_of_id(self) -> tuple[str, ...]:
        return (self.id,) if isinstance(self.id, str) else self.id

    @property
    def fields_of_id(self) -> tuple[str, ...]:
        """The places of the id in payloads."""
        elsewhere = (HEADER, CONST)
        return tuple(place for place in self.places_of_id if not place.startswith(elsewhere))

    @property
    def has_constant_id(self) -> bool:
        """True where no part of the id comes from the delivery."""
        return all(place.startswith(CONST) for place in self.places_of_id)

    @property
    def credential(self) -> bool:
        """Its secret itself comes with each delivery, or a token made of it."""
        return self.proof != "hmac"

    @property
    def header_name(self) -> str:
        """The header that carries the proof."""
        if self.proof in ("basic", "oauth2"):
            return "Authorization"
        return self.header or (_SIGNATURE if self.proof == "hmac" else "Authorization")

    @property
    def kept_headers(self) -> dict[str, str]:
        """The headers, in lower case, that stay with each delivery, and the key that names each: of
        the signature, where there is one, and with id and type."""
        named = [(place, "id") for place in self.places_of_id] + [(self.type, "type")]
        found = {name.removeprefix(HEADER): key for name, key in named if name.startswith(HEADER)}
        if not self.credential:
            signing = ((self.timestamp_header, "timestamp_header"), (self.id_header, "id_header"))
            found |= {name: key for name, key in signing if name} | {self.header_name: "header"}
        return {name.lower(): key for name, key in found.items()}

    @property
    def prefix_text(self) -> str:
        """The text before the proof in its header."""
        if self.prefix:
            return self.prefix
        return "Bearer " if self.proof == "token" and self.header_name == "Authorization" else ""


def is_secret_variable(name: str) -> bool:
    """True for the name of a variable that holds the secret of a source."""
    return _VARIABLE.fullmatch(name) is not None


def read(
    table: object, place: str, variables: Iterable[Sequence[Entry]]
) -> tuple[dict[str, SourceSettings], list[Fault]]:
    """The sources of the TOML value under `sources`, by name, and what is wrong with them.
    `variables` are secrets from elsewhere, place by place, the strongest first."""
    if not isinstance(table, dict):
        return {}, [Fault("sources", place, "not a table", "tables like [sources.voice]")]
    faults: list[Fault] = []
    secrets = _by_source(table, variables, faults)
    sources: dict[str, SourceSettings] = {}
    if len(table) > _MOST:
        faults.append(Fault("sources", place, f"more than {_MOST} sources", "fewer"))
    for name, content in list(table.items())[:_MOST]:
        title = _title(name)
        if not _NAME.fullmatch(name) or name == MAIN:
            allowed = "[a-z][a-z0-9_]{0,31}; main is what the CXONE_* variables say"
            faults.append(Fault(title, place, "not a name of a source", allowed))
        elif not isinstance(content, dict):
            faults.append(Fault(title, place, "not a table", ", ".join(_allowed())))
        else:
            source, found = _source(name, content, secrets.get(name, {}), place)
            faults += found
            if source is not None:
                sources[name] = source
    return sources, faults


def _title(name: str) -> str:
    return f"sources.{shown(name)[1:-1]}"


def _by_source(
    table: Mapping[str, Any], variables: Iterable[Sequence[Entry]], faults: list[Fault]
) -> dict[str, dict[str, Entry]]:
    """The variables by source and key; those of sources that have no table are faults, and two of
    one place that disagree."""
    found: dict[str, dict[str, Entry]] = {}
    for layer in variables:
        here: dict[tuple[str, str], Entry] = {}
        for name, key, given in _known(table, layer, faults):
            earlier = here.setdefault((name, key), given)
            if earlier.value != given.value:
                problem = f"disagrees with {earlier.name} ({earlier.source})"
                faults.append(Fault(given.name, given.source, problem, "one of the two"))
        for (name, key), given in here.items():
            found.setdefault(name, {}).setdefault(key, given)
    return found


def _known(
    table: Mapping[str, Any], layer: Sequence[Entry], faults: list[Fault]
) -> Iterator[tuple[str, str, Entry]]:
    """Source, key and value of each variable that can be used."""
    for entry in layer:
        match = _VARIABLE.fullmatch(entry.name)
        if match is None:
            continue
        name, key = match[1].lower(), match[2].lower()
        given = resolved(entry, is_file=key.endswith(_FILE))
        if given is not None and name not in table:
            problem = f"there is no [{_title(name)}] in the config file"
            given = Fault(entry.name, entry.source, problem, "a table for it")
        if isinstance(given, Fault):
            faults.append(given)
        elif given is not None:
            yield name, key.removesuffix(_FILE), given


def _source(
    name: str, content: Mapping[str, object], secrets: Mapping[str, Entry], place: str
) -> tuple[SourceSettings | None, list[Fault]]:
    title, faults = f"sources.{name}", []
    content = {key: value for key, value in content.items() if value != ""}
    values = {key: value for key, value in content.items() if key not in _FILES}
    for key in _SECRETS:
        if key in content and key + _FILE in content:
            problem = f"stands beside {title}.{key}{_FILE}"
            faults.append(Fault(f"{title}.{key}", place, problem, "one of the two"))
        elif key + _FILE in content:
            value = content[key + _FILE]
            entry = Entry(f"{title}.{key}{_FILE}", value, place, has_control(value))
            found = resolved(entry, is_file=True)
            if isinstance(found, Fault):
                faults.append(found)
            elif found is not None:
                values[key] = found.value
    values |= {key: entry.value for key, entry in secrets.items()}
    preset = PRESETS.get(str(values.get("preset")))
    try:
        source = SourceSettings.model_validate({**(preset.values if preset else {}), **values})
    except ValidationError as error:
        return None, faults + list(_wrong(title, values, place, error))
    # A slash at the end tells no two paths apart, and each is served with and without.
    path = (source.path or f"/webhook/{name}").removesuffix("/")
    source = source.model_copy(update={"path": path})
    faults += [Fault(f"{title}.{key}", place, *what) for key, *what in _wrong_together(source)]
    return source, faults


def _wrong(
    title: str, values: Mapping[str, object], place: str, error: ValidationError
) -> Iterator[Fault]:
    for detail in error.errors(include_url=False):
        key = str(detail["loc"][0])
        if key not in SourceSettings.model_fields:
            yield Fault(f"{title}.{shown(key)}", place, "unknown key", ", ".join(_allowed()))
            continue
        value, cause = values.get(key), detail.get("ctx", {}).get("error")
        problem = "not allowed" if key in _SECRETS else f"{shown(value)} is not allowed"
        if isinstance(cause, Wrong):
            problem += f": {cause}"
        yield Fault(f"{title}.{key}", place, problem, kinds.allowed(SourceSettings, key))


def _wrong_together(source: SourceSettings) -> Iterator[tuple[str, str, str]]:
    if source.secret is None:
        how = "secret, secret_file, or the variable CXONE_SOURCE_…_SECRET[_FILE]"
        yield "secret", "required", how
    path = source.path
    if not _PATH.fullmatch(path) or any(part in (".", "..") for part in path.split("/")):
        problem = f"{shown(path)} is not allowed"
        yield "path", problem, "a path like /webhook/voice, of letters, digits and . _ ~ -"
    yield from unfit(source)


def unfit(
    source: SourceSettings, named: Callable[[str], str] = str
) -> Iterator[tuple[str, str, str]]:
    """Keys that are right alone and do not fit each other: key, what is wrong, what is allowed.
    `named` says how people know a key."""
    for part, key in (("timestamp", "timestamp_header"), ("id", "id_header")):
        if part in signed_parts(source.signed)[1::2] and getattr(source, key) is None:
            problem = f"required with {named('signed')} = {source.signed}"
            yield key, problem, f"the name of the header with the {part}"
    if source.credential:
        yield from _weak(source)
        return
    for key in _SECRETS:
        try:
            _ = key_of(source, key)
        except Wrong as error:
            yield key, f"{named('secret_format')} = {source.secret_format}: {error}", ""


def key_of(source: SourceSettings, key: str) -> bytes | None:
    """The bytes of `secret` or `secret_previous`; raises Wrong, which holds nothing of it."""
    secret: SecretStr | None = getattr(source, key)
    return None if secret is None else secret_key(secret.get_secret_value(), source.secret_format)


def _weak(source: SourceSettings) -> Iterator[tuple[str, str, str]]:
    """Secrets that are sent, and cannot be or be guessed: key, what is wrong, what is allowed."""
    written = source.secret_format
    if written != "text":
        yield "secret_format", f"a secret of {source.proof} is sent as it is written", "text"
    bounds = f"{SHORTEST_CREDENTIAL} to {_LONGEST_CREDENTIAL} bytes"
    for key in _SECRETS:
        secret = getattr(source, key)
        length = len(secret.get_secret_value().encode()) if secret else SHORTEST_CREDENTIAL
        if not SHORTEST_CREDENTIAL <= length <= _LONGEST_CREDENTIAL:
            yield key, f"too short or too long for {source.proof}", bounds


def clashes(
    sources: Mapping[str, SourceSettings], place: str, main: Callable[[str], str]
) -> Iterator[Fault]:
    """Sources, the main one first, that could be taken for each other, or for what is ours. `main`
    is the name of a key's setting of that one."""
    owners: dict[bytes, str] = {}
    carrying = {each.header_name.lower() for each in sources.values() if each.credential}
    paths = {normal(path): "this service itself" for path in _OURS}
    for name, source in sources.items():
        path = normal(source.path)
        if path in paths or path.startswith("/console/"):
            whose = paths.get(path, "this service itself")
            problem = f"{shown(source.path)} is the path of {whose}"
            yield Fault(f"sources.{name}.path", place, problem, "a path of its own")
        paths[path] = f"the source {name}"
        for header, key in source.kept_headers.items():
            if header in carrying:
                problem = f"the header {header} carries the secret of a source: it is not kept"
                where = (
                    (main(key), "settings") if name == MAIN else (f"sources.{name}.{key}", place)
                )
                yield Fault(*where, problem, "another header for signature, id or type")
        for secret in _forms(source):
            if owners.setdefault(secret, name) != name:
                problem = f"shares a secret with {owners[secret]}, current or previous"
                yield Fault(f"sources.{name}.secret", place, problem, "a secret of its own")
                break


def _forms(source: SourceSettings) -> set[bytes]:
    """The secrets of a source as they are written, and as they are read."""
    forms = set()
    for key in _SECRETS:
        if secret := getattr(source, key):
            forms.add(secret.get_secret_value().encode())
            with suppress(Wrong):
                # HMAC takes a key for the same without the zeros at its end.
                forms.add((key_of(source, key) or b"").rstrip(b"\0"))
    return forms - {b""}


def normal(path: str) -> str:
    """A path without what does not tell two apart: case, percent-encoding."""
    return unquote(path).casefold()


_FILES = tuple(key + _FILE for key in _SECRETS)


def _allowed() -> Collection[str]:
    return (*SourceSettings.model_fields, *_FILES)

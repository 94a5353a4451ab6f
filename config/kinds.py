"""The kinds of values a setting can have: how each is read, named to people and shown again."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, SecretStr
from pydantic.fields import FieldInfo

from config.presets import PRESETS
from config.signing import CONST, HEADER, signed_content
from config.value_parsers import (
    HOST,
    choice,
    duration,
    host_names,
    listen,
    mongodb_uri,
    networks,
    paths,
    proxy_address,
    show_duration,
    show_networks,
    show_size,
    size,
    texts,
    web_address,
    whole,
)

# A token of RFC 9110, section 5.6.2, without the underscore: servers and proxies drop headers with
# one, for in CGI it is a hyphen too.
_TOKEN = re.compile(r"[!#$%&'*+.^`|~0-9A-Za-z-]{1,256}")
_DATABASE = re.compile(r"[^\s\x00/\\.\"$*<>:|?]{1,63}")
_POINTER_ESCAPE = re.compile(r"~(?![01])")


@dataclass(frozen=True, slots=True)
class Kind:
    """The allowed values in words, and `show`, whose text is read as the same value again. `path`:
    a backslash in it is meant as one."""

    allowed: str
    show: Callable[[Any], str] = str
    path: bool = False


def field_name(value: str) -> str:
    """A key, or a JSON Pointer (RFC 6901) when it begins with `/`."""
    if not 0 < len(value) <= 256 or (value.startswith("/") and _POINTER_ESCAPE.search(value)):
        raise ValueError
    return value


def place(value: str) -> str:
    """A `field_name`, or `header:NAME`, or `const:TEXT`."""
    if value.startswith(HEADER) and not _TOKEN.fullmatch(value.removeprefix(HEADER)):
        raise ValueError
    if value == CONST:
        raise ValueError
    return field_name(value)


def id_places(value: object) -> object:
    """One place, or the list of several: JSON where it is text."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        value = json.loads(value)
    if isinstance(value, list | tuple):
        if not 0 < len(value) <= 8 or not all(isinstance(each, str) for each in value):
            raise ValueError
        return tuple(place(printable(each) or "") for each in value)
    return place(printable(value) or "") if isinstance(value, str) else value


def show_places(value: str | tuple[str, ...]) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def preset(value: str | None) -> str | None:
    if value is not None and value not in PRESETS:
        raise ValueError
    return value


def filled(value: SecretStr | None) -> SecretStr | None:
    """A secret that can be seen: blanks and what takes no room are a slip, which all can guess."""
    if value is None or any(c.isprintable() and not c.isspace() for c in value.get_secret_value()):
        return value
    raise ValueError


def proxy(value: SecretStr | None) -> SecretStr | None:
    return None if value is None else SecretStr(proxy_address(value.get_secret_value()))


def path_text(value: str) -> str:
    # What a path looks like is the schema's business; here it is only bounded.
    if not 0 < len(value) <= 1024 or not value.isprintable():
        raise ValueError
    return value


def folder(value: object) -> object:
    """A path; `~` is the home of the user, as .env files and services have no shell to say so."""
    if not isinstance(value, str | Path):
        raise ValueError  # noqa: TRY004
    try:
        return Path(value).expanduser()
    except RuntimeError as error:
        raise ValueError from error


def matching(pattern: re.Pattern[str]) -> AfterValidator:
    def check(value: str | None) -> str | None:
        if value is not None and not pattern.fullmatch(value):
            raise ValueError
        return value

    return AfterValidator(check)


def printable(value: str | None) -> str | None:
    """Text of one line, without control characters: it goes into headers, tags and terminals."""
    if value is not None and (len(value) > 256 or not value.isprintable()):
        raise ValueError
    return value


_ONE_LINE = AfterValidator(printable)

Whole = Annotated[int, BeforeValidator(whole), Kind("a whole number")]
Size = Annotated[int, BeforeValidator(size), Kind("a size like 65536, 512KiB or 1MB", show_size)]
Seconds = Annotated[
    float, BeforeValidator(duration), Kind("a time like 30, 250ms, 30s, 5m or 1h", show_duration)
]
Choice = BeforeValidator(choice)
Text = Annotated[str, _ONE_LINE, Kind("one line of at most 256 characters")]
OptionalText = Annotated[str | None, _ONE_LINE, Kind("one line of at most 256 characters")]
Words = Annotated[str, Kind("text")]
_HEADER = Kind(
    "an HTTP header name: letters, digits and !#$%&'*+-.^`|~, no _ (such headers never arrive)"
)
Header = Annotated[str, matching(_TOKEN), _HEADER]
OptionalHeader = Annotated[str | None, matching(_TOKEN), _HEADER]
SignedContent = Annotated[
    str,
    BeforeValidator(signed_content),
    Kind("body, timestamp.body, or a template with {body} at its end"),
]
IdPlaces = Annotated[
    str | tuple[str, ...],
    BeforeValidator(id_places),
    Kind(
        "a key, a JSON Pointer when it begins with /, header:NAME, const:TEXT, or a list of them"
        ' like ["contactId", "/call/sequence"]',
        show_places,
    ),
]
TypePlace = Annotated[
    str,
    _ONE_LINE,
    AfterValidator(place),
    Kind("a key, a JSON Pointer when it begins with /, header:NAME, or const:TEXT"),
]
PresetName = Annotated[str | None, AfterValidator(preset), Kind(", ".join(PRESETS))]
Listen = Annotated[
    str, AfterValidator(listen), Kind("host:port, an IPv6 address in brackets, like [::1]:8080")
]
HostName = Annotated[str, matching(HOST), Kind("a host name")]
OptionalWebAddress = Annotated[
    str | None,
    AfterValidator(web_address),
    Kind("a URL that begins with https:// or http://, without a user name or password"),
]
Database = Annotated[
    str, matching(_DATABASE), Kind('1 to 63 characters, none of them space or /\\."$*<>:|?')
]
ServerApi = Annotated[
    str | None,
    BeforeValidator(lambda value: str(value) if type(value) is int else value),
    matching(re.compile("1")),
    Kind("1"),
]
Folder = Annotated[Path, BeforeValidator(folder), Kind("a path", path=True)]
OptionalFile = Annotated[Path | None, BeforeValidator(folder), Kind("a path", path=True)]
Tags = Annotated[
    tuple[Annotated[str, _ONE_LINE], ...],
    BeforeValidator(texts),
    Kind("tags like env:prod,team:care, at most 100", ",".join),
]
Networks = Annotated[
    tuple[IPv4Network | IPv6Network, ...],
    BeforeValidator(networks),
    Kind("addresses or networks like 127.0.0.1,10.0.0.0/8, at most 100", show_networks),
]
HostNames = Annotated[
    tuple[str, ...],
    BeforeValidator(host_names),
    Kind("host names like console.example.com, at most 100", ",".join),
]
Paths = Annotated[
    tuple[Annotated[str, AfterValidator(path_text)], ...],
    BeforeValidator(paths),
    Kind("field paths like customer.name,participants[].email, at most 200", ",".join),
]
Secret = Annotated[SecretStr | None, AfterValidator(filled), Kind("text, not blank")]
Proxy = Annotated[
    SecretStr | None,
    AfterValidator(proxy),
    Kind("a URL like http://proxy.example.com:3128, a login as user:password@ before the host"),
]
MongoUri = Annotated[
    SecretStr | None,
    AfterValidator(mongodb_uri),
    Kind(
        "a URI that begins with mongodb:// or mongodb+srv://, user and password percent-encoded"
        " (@ is %40, % is %25)",
        path=True,  # it may name files of certificates
    ),
]


def kind_of(info: FieldInfo) -> Kind:
    """The kind of a field; of a choice the words themselves."""
    found = next((item for item in info.metadata if isinstance(item, Kind)), None)
    return found or Kind("")


def allowed(model: type[BaseModel], key: str) -> str:
    """The allowed values of a field, in words."""
    info = model.model_fields[key]
    return kind_of(info).allowed or words(info)


def words(info: FieldInfo) -> str:
    *first, last = (str(word) for word in get_args(info.annotation))
    return f"{', '.join(first)} or {last}"

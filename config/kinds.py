"""The kinds of values a setting can have: how each is read, named to people and shown again."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr

T = TypeVar("T")

# Largest first, so that the longest suffix that divides a size is shown.
_SIZES = {"GiB": 1 << 30, "GB": 10**9, "MiB": 1 << 20, "MB": 10**6, "KiB": 1 << 10, "KB": 10**3}
_DURATIONS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_NUMBER = re.compile(r"(\d{1,18}(?:\.\d{1,9})?)\s*([A-Za-z]*)", re.ASCII)
_WHOLE = re.compile(r"[+-]?\d{1,18}", re.ASCII)
# RFC 9110, section 5.6.2.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})")
_DATABASE = re.compile(r"[^\s\x00/\\.\"$*<>:|?]{1,63}")
_POINTER_ESCAPE = re.compile(r"~(?![01])")


@dataclass(frozen=True, slots=True)
class Kind:
    """What is allowed, in words, and how a value is shown so that reading it gives it again."""

    allowed: str
    show: Callable[[Any], str] = str


def whole(value: object) -> object:
    """An integer as text or number; a bool or a fraction is none."""
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        return int(value)
    if type(value) is int:
        return value
    raise ValueError


def size(value: object) -> object:
    """Bytes: `65536`, `512KiB` (1024) or `1MB` (10**6); the suffix without regard to case."""
    if not isinstance(value, str):
        return whole(value)
    number, factor = _quantity(value, {**_SIZES, "B": 1, "": 1})
    amount = number * factor
    if amount != int(amount):
        raise ValueError
    return int(amount)


def duration(value: object) -> object:
    """Seconds: `5`, `0.25`, `250ms`, `30s`, `5m` or `1h`."""
    if isinstance(value, str):
        number, factor = _quantity(value, {**_DURATIONS, "": 1.0})
        return number * factor
    if type(value) in (int, float):
        return value
    raise ValueError


def _quantity(text: str, units: dict[str, Any]) -> tuple[float, Any]:
    match = _NUMBER.fullmatch(text.strip())
    factors = {unit.lower(): factor for unit, factor in units.items()}
    if match is None or match[2].lower() not in factors:
        raise ValueError
    number = float(match[1]) if "." in match[1] else int(match[1])
    return number, factors[match[2].lower()]


def show_size(value: int) -> str:
    for unit, factor in _SIZES.items():
        if value and value % factor == 0:
            return f"{value // factor}{unit}"
    return str(value)


def show_duration(value: float) -> str:
    unit = next((name for name in ("h", "m") if value and value % _DURATIONS[name] == 0), "s")
    if 0 < value < 1:
        unit = "ms"
    return f"{value / _DURATIONS[unit]:g}{unit}"


def choice(value: object) -> object:
    """Words and numbers of a fixed choice, without regard to case."""
    if isinstance(value, str):
        text = value.strip()
        return int(text) if _WHOLE.fullmatch(text) else text.lower()
    return whole(value)


def listen(value: str) -> str:
    """`host:port`, an IPv6 address in brackets."""
    host, _, port = value.strip().rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        IPv6Address(host[1:-1])
    elif not _HOST.fullmatch(host):
        raise ValueError
    if not re.fullmatch(r"\d{1,5}", port, re.ASCII) or int(port) > 65535:
        raise ValueError
    return f"{host}:{int(port)}"


def field_name(value: str) -> str:
    """A key, or a JSON Pointer (RFC 6901) when it begins with `/`."""
    if not 0 < len(value) <= 256 or (value.startswith("/") and _POINTER_ESCAPE.search(value)):
        raise ValueError
    return value


def web_address(value: str | None) -> str | None:
    """A base URL. One with a password in it is refused: it would be shown like any setting."""
    if value is None:
        return None
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise ValueError
    _ = parts.port  # raises ValueError on one that is none
    return value.rstrip("/")


def mongodb_uri(value: SecretStr | None) -> SecretStr | None:
    if value and not value.get_secret_value().startswith(("mongodb://", "mongodb+srv://")):
        raise ValueError
    return value


def filled(value: SecretStr | None) -> SecretStr | None:
    if value is not None and not value.get_secret_value():
        raise ValueError
    return value


def tags(value: object) -> object:
    """`env:prod,team:care` or the same with spaces; a TOML list of texts as well."""
    if isinstance(value, str):
        value = re.findall(r"[^,\s]+", value)
    if isinstance(value, list | tuple) and len(value) <= 100:
        return tuple(value)
    raise ValueError


def networks(value: object) -> object:
    """Addresses and networks: `127.0.0.1,10.0.0.0/8,::1`; a TOML list of them as well."""
    return tuple(ip_network(str(each)) for each in _listed(value))


def host_names(value: object) -> object:
    """Host names without ports: `console.example.com,localhost`."""
    names = _listed(value)
    if not all(_HOST.fullmatch(str(name)) for name in names):
        raise ValueError
    return tuple(str(name).lower() for name in names)


def _listed(value: object) -> tuple[object, ...]:
    found = tags(value)
    return found if isinstance(found, tuple) else ()


def show_networks(values: tuple[IPv4Network | IPv6Network, ...]) -> str:
    return ",".join(
        str(each.network_address if each.num_addresses == 1 else each) for each in values
    )


def paths(value: object) -> object:
    """`customer.name,participants[].email`, or the same with spaces; a TOML list of texts as well.
    A path with a comma or space in a key has it in double quotes."""
    if isinstance(value, str):
        value = re.findall(r'(?:"(?:[^"\\]|\\.)*"|[^",\s])+|"', value)
    if isinstance(value, list | tuple) and len(value) <= 200:
        return tuple(value)
    raise ValueError


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
_HEADER = Kind("an HTTP header name: letters, digits and !#$%&'*+-.^_`|~")
Header = Annotated[str, matching(_TOKEN), _HEADER]
OptionalHeader = Annotated[str | None, matching(_TOKEN), _HEADER]
FieldName = Annotated[
    str,
    _ONE_LINE,
    AfterValidator(field_name),
    Kind("a key, or a JSON Pointer when it begins with /, of at most 256 characters"),
]
Listen = Annotated[
    str, AfterValidator(listen), Kind("host:port, an IPv6 address in brackets, like [::1]:8080")
]
HostName = Annotated[str, matching(_HOST), Kind("a host name")]
OptionalWebAddress = Annotated[
    str | None,
    AfterValidator(web_address),
    Kind("a URL that begins with https:// or http://, without a user name or password"),
]
Database = Annotated[
    str, matching(_DATABASE), Kind('1 to 63 characters, none of them space or /\\."$*<>:|?')
]
Folder = Annotated[Path, BeforeValidator(folder), Kind("a path")]
OptionalFile = Annotated[Path | None, BeforeValidator(folder), Kind("a path")]
Tags = Annotated[
    tuple[Annotated[str, _ONE_LINE], ...],
    BeforeValidator(tags),
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
Secret = Annotated[SecretStr | None, AfterValidator(filled), Kind("text, not empty")]
MongoUri = Annotated[
    SecretStr | None,
    AfterValidator(mongodb_uri),
    Kind("a URI that begins with mongodb:// or mongodb+srv://"),
]

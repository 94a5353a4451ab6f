"""Read values as people write them: numbers, sizes, times, addresses, lists, URIs of MongoDB; and
show them so again."""

from __future__ import annotations

import re
import warnings
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from config.faults import Wrong

# Largest first, so that the longest suffix that divides a size is shown.
_SIZES = {"GiB": 1 << 30, "GB": 10**9, "MiB": 1 << 20, "MB": 10**6, "KiB": 1 << 10, "KB": 10**3}
_DURATIONS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_NUMBER = re.compile(r"(\d{1,18}(?:\.\d{1,9})?)\s*([A-Za-z]*)", re.ASCII)
_WHOLE = re.compile(r"[+-]?\d{1,18}", re.ASCII)
HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})")

SRV = "mongodb+srv://"
_SCHEMES = ("mongodb://", SRV)

# Texts of the driver and their meaning; the first that matches. Its own text may hold parts of a
# password that was cut in the wrong place.
_MEANINGS = (
    (r"port contains", "the port is no number, or a character of user or password is not encoded"),
    (r"escaped|not valid username", "a character of user or password is not percent-encoded"),
    (r"\bport\b|one hostname|empty host|one, and only one|IPv6", "host and port cannot be read"),
    (r"key=value|separators", "behind the ? must stand OPTION=VALUE&OPTION=VALUE"),
    (r"not readable|\[X509|\[SSL|PEM", "a certificate file that it names cannot be read"),
    (r"unknown option", "it has an option that the driver does not know"),
    (r"duplicate", "an option stands twice"),
    (
        r"cannot|can not|conflicting|must not|only allowed|requires|not supported|not been enabled",
        "options contradict each other",
    ),
    (
        r"must|not a valid|unsupported|invalid",
        "an option has a value that it cannot have",
    ),
)


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
    elif not HOST.fullmatch(host):
        raise ValueError
    if not re.fullmatch(r"\d{1,5}", port, re.ASCII) or int(port) > 65535:
        raise ValueError
    return f"{host}:{int(port)}"


def web_address(value: str | None) -> str | None:
    """A base URL. One with a password in it is refused: it would be shown like any setting."""
    if value is None:
        return None
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise ValueError
    _ = parts.port  # raises ValueError on one that is none
    return value.rstrip("/")


def proxy_address(value: str) -> str:
    """`http://[user:password@]host[:port]`, also of one that was written without its scheme; raises
    ValueError for kinds that we do not speak."""
    address = value.strip() if "://" in value else f"http://{value.strip()}"
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not HOST.fullmatch(parts.hostname or ""):
        raise ValueError
    _ = parts.port  # raises ValueError on one that is none
    return address.rstrip("/")


def networks(value: object) -> object:
    """Addresses and networks: `127.0.0.1,10.0.0.0/8,::1`; a TOML list of them as well."""
    return tuple(ip_network(str(each)) for each in texts(value))


def host_names(value: object) -> object:
    """Host names without ports: `console.example.com,localhost`."""
    names = texts(value)
    if not all(HOST.fullmatch(str(name)) for name in names):
        raise ValueError
    return tuple(str(name).lower() for name in names)


def show_networks(values: tuple[IPv4Network | IPv6Network, ...]) -> str:
    return ",".join(
        str(each.network_address if each.num_addresses == 1 else each) for each in values
    )


def texts(value: object) -> tuple[object, ...]:
    """`env:prod,team:care` or the same with spaces; a TOML list of texts as well."""
    if isinstance(value, str):
        value = re.findall(r"[^,\s]+", value)
    if isinstance(value, list | tuple) and len(value) <= 100:
        return tuple(value)
    raise ValueError


def paths(value: object) -> tuple[object, ...]:
    """`customer.name,participants[].email`, or the same with spaces; a TOML list of texts as well.
    A path with a comma or space in a key has it in double quotes."""
    if isinstance(value, str):
        value = re.findall(r'(?:"(?:[^"\\]|\\.)*"|[^",\s])+|"', value)
    if isinstance(value, list | tuple) and len(value) <= 200:
        return tuple(value)
    raise ValueError


def mongodb_uri(value: SecretStr | None) -> SecretStr | None:
    """A URI that the driver takes. No name is looked up: one that DNS does not know now, it may
    know later. Raises Wrong."""
    if value is None:
        return None
    from pymongo import MongoClient  # noqa: PLC0415  (a tenth of a second)
    from pymongo.errors import PyMongoError  # noqa: PLC0415

    uri = value.get_secret_value()
    if not uri.startswith(_SCHEMES):
        raise Wrong("it begins otherwise")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # The driver goes on without what it does not understand; then it is not what was asked for.
        warnings.filterwarnings("error", category=UserWarning)
        # It works without, only slower.
        warnings.filterwarnings("ignore", message="Wire protocol compression")
        # A remark on whose servers they are, by their names.
        warnings.filterwarnings("ignore", message="You appear to be connected")
        try:
            MongoClient(uri, connect=False, minPoolSize=0).close()
        except (PyMongoError, UserWarning, ValueError, OSError) as error:
            raise Wrong(_meaning(str(error))) from None
    if uri.startswith(SRV) and _is_address(uri):
        raise Wrong("mongodb+srv:// takes a name of DNS, no IP address")
    return value


def _meaning(said: str) -> str:
    from pymongo.common import URI_OPTIONS_VALIDATOR_MAP  # noqa: PLC0415

    meaning = next(
        (text for pattern, text in _MEANINGS if re.search(pattern, said, re.IGNORECASE)),
        "the driver cannot read it",
    )
    known = {name.lower() for name in URI_OPTIONS_VALIDATOR_MAP}
    names = [] if "did you mean" in said.lower() else re.findall(r"[A-Za-z]+", said)
    named = dict.fromkeys(name.lower() for name in names if len(name) > 2 and name.lower() in known)
    return f"{meaning} ({', '.join(named)})" if named else meaning


def _is_address(uri: str) -> bool:
    try:
        ip_address(urlsplit(uri).hostname or "")
    except ValueError:
        return False
    return True

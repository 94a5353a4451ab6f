"""Ask the driver whether it takes a MongoDB URI, and say what is wrong without quoting it."""

from __future__ import annotations

import re
import warnings
from ipaddress import ip_address
from urllib.parse import urlsplit

from pydantic import SecretStr
from pymongo import MongoClient
from pymongo.common import URI_OPTIONS_VALIDATOR_MAP
from pymongo.errors import PyMongoError

from config.faults import Wrong

SRV = "mongodb+srv://"
_SCHEMES = ("mongodb://", SRV)

# What the driver says, and what it means; the first that matches. Its own text may hold parts of a
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


def mongodb_uri(value: SecretStr | None) -> SecretStr | None:
    """A URI that the driver takes. No name is looked up: one that DNS does not know now, it may
    know later. Raises Wrong."""
    if value is None:
        return None
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
    meaning = next(
        (text for pattern, text in _MEANINGS if re.search(pattern, said, re.IGNORECASE)),
        "the driver cannot read it",
    )
    known = {name.lower() for name in URI_OPTIONS_VALIDATOR_MAP}
    names = [] if "did you mean" in said.lower() else re.findall(r"[A-Za-z]+", said)
    told = dict.fromkeys(name.lower() for name in names if len(name) > 2 and name.lower() in known)
    return f"{meaning} ({', '.join(told)})" if told else meaning


def _is_address(uri: str) -> bool:
    try:
        ip_address(urlsplit(uri).hostname or "")
    except ValueError:
        return False
    return True

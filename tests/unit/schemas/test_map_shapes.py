"""Of planted maps nearly all are found, of records none: on shapes as many public APIs send them,
and on the payloads of this repository."""

from __future__ import annotations

import base64
import json
import random
import string
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from datadog_api_client.v2 import models

from consumer.core.paths import to_text
from consumer.schemas.model import SchemaVersion
from tests.support.places import PAYLOADS
from tests.support.strategies import learn

BASE62 = string.ascii_letters + string.digits
Chance = random.Random
WORDS = ("ann", "bo", "wilhelmina", "jürgen", "m.brown", "support", "o'neil", "x")
HOSTS = ("example.com", "mail.example.co.uk", "beispiel.de", "例え.jp")


def chars(chance: Chance, alphabet: str, length: int) -> str:
    return "".join(chance.choices(alphabet, k=length))


def date(chance: Chance) -> str:
    return f"20{chance.randrange(10, 30)}-{chance.randrange(1, 13):02}-{chance.randrange(1, 29):02}"


def hexed(length: int) -> Callable[[Chance], str]:
    return lambda chance: chars(chance, "0123456789abcdef", length)


def based(length: int) -> Callable[[Chance], str]:
    return lambda chance: chars(chance, BASE62, length)


# What stands as a key in maps that APIs are known to send.
KEYS: dict[str, Callable[[Chance], str]] = {
    "e-mail": lambda c: f"{c.choice(WORDS)}{c.randrange(1000)}@{c.choice(HOSTS)}",
    "e-mail in capitals": lambda c: f"{c.choice(WORDS)}.{c.randrange(99)}@EXAMPLE.COM".upper(),
    "SIP address": lambda c: f"sip:{c.randrange(1000, 9999)}@10.0.{c.randrange(255)}.9:5060",
    "Matrix user": lambda c: f"@{c.choice(WORDS)}{c.randrange(99)}:example.org",
    "E.164": lambda c: f"+{c.randrange(10**9, 10**13)}",
    "written phone": lambda c: f"+49 {c.randrange(30, 999)} {c.randrange(10**5, 10**8)}",
    "American phone": lambda c: f"({c.randrange(200, 999)}) 555-{c.randrange(1000, 9999)}",
    "URL": lambda c: f"https://example.com/{c.choice(WORDS)}/{c.randrange(999)}?q=1",
    "URN": lambda c: f"urn:agent:{c.randrange(999)}",
    "IPv4": lambda c: ".".join(str(c.randrange(256)) for _ in range(4)),
    "IPv6": lambda c: f"2001:db8::{c.randrange(1, 65536):x}",
    "MAC": lambda c: ":".join(f"{c.randrange(256):02x}" for _ in range(6)),
    "UUID": lambda c: str(uuid.UUID(int=c.getrandbits(128))),
    "UUID with prefix": lambda c: f"agent_{uuid.UUID(int=c.getrandbits(128))}",
    "ULID": lambda c: "01" + chars(c, "0123456789ABCDEFGHJKMNPQRSTVWXYZ", 24),
    "ObjectId": hexed(24),
    "SHA-256": hexed(64),
    "short hex": hexed(16),
    "snowflake": lambda c: str(c.randrange(10**17, 10**19)),
    "Unix time": lambda c: str(c.randrange(1_500_000_000, 1_900_000_000)),
    "agent number": lambda c: str(c.randrange(1000, 99_999)),
    "small number": lambda c: str(c.randrange(1, 500)),
    "date": date,
    "date and time": lambda c: f"{date(c)}T{c.randrange(24):02}:00:00Z",
    "month": lambda c: f"2026-{c.randrange(1, 13):02}",
    "time of day": lambda c: f"{c.randrange(24):02}:{c.randrange(0, 60, 15):02}",
    "prefix and number": lambda c: f"skill-{c.randrange(1000, 10**6)}",
    "Jira field": lambda c: f"customfield_{c.randrange(10_000, 20_000)}",
    "order number": lambda c: f"ORD-2026-{c.randrange(10**6):06}",
    "ServiceNow number": lambda c: f"INC{c.randrange(10**7):07}",
    "base64 with padding": lambda c: base64.b64encode(f"user {c.random()}"[:16].encode()).decode(),
    "base64 without": lambda c: base64.b64encode(f"u {c.random()}"[:15].encode()).decode(),
    "Firebase user": based(28),
    "Salesforce id": lambda c: "5003000000" + chars(c, BASE62, 8),
    "nanoid": lambda c: chars(c, BASE62 + "_-", 21),
    "Stripe id": lambda c: "cus_" + chars(c, BASE62, 14),
    "YouTube id": based(11),
    "cuid": lambda c: "c" + chars(c, string.ascii_lowercase + string.digits, 24),
}
ROUNDS = 20


def events(chance: Chance, key: Callable[[Chance], str]) -> Iterator[dict[str, Any]]:
    """Three events with one to four entries each in a map, among named fields."""
    for number in range(3):
        entries = {
            key(chance): {"role": "agent", "n": number} for _ in range(chance.randrange(1, 5))
        }
        yield {"id": number, "type": "t", "data": {"name": "x", "by_key": entries}}


@pytest.fixture(scope="module")
def found() -> dict[str, float]:
    """The share of planted maps that are maps after their three events, by what their keys are."""
    shares = {}
    for name, key in KEYS.items():
        chance = Chance(name)
        heads = [learn(events(chance, key)) for _ in range(ROUNDS)]
        shares[name] = sum("data.by_key.*" in names(head) for head in heads) / ROUNDS
    return shares


def names(head: SchemaVersion) -> set[str]:
    return {to_text(field.path) for field in head.live}


def test_of_planted_maps_95_in_100_are_found(found: dict[str, float]) -> None:
    assert sum(found.values()) / len(found) >= 0.95, found


def test_no_kind_of_key_is_missed_more_often_than_once_in_five(found: dict[str, float]) -> None:
    assert {name: share for name, share in found.items() if share < 0.8} == {}


# The keys of objects as their vendors document them, with what looks most like data in them.
RECORDS = {
    "Jira issue": "summary status issuetype customfield_10010 customfield_10011 duedate resolution",
    "Jira avatars": "48x48 32x32 24x24 16x16",
    "GitHub repository": "id node_id name full_name private owner html_url git_url ssh_url svn_url",
    "GitHub reactions": "url total_count +1 -1 laugh hooray confused heart rocket eyes",
    "Stripe charge": "id object amount amount_captured source address_line1_check cvc_check",
    "Stripe address": "city country line1 line2 postal_code state",
    "Shopify address": "first_name address1 address2 phone zip province_code country_code",
    "Zendesk ticket": "id url subject via satisfaction_rating custom_fields brand_id via_followup",
    "Twilio call": "CallSid From To CallStatus ApiVersion Direction ToCity FromZip StirVerstat",
    "Slack block": "type block_id text elements accessory action_ts trigger_id",
    "OpenWeather": "temp feels_like temp_min pressure humidity sea_level grnd_level",
    "OpenWeather rain": "1h 3h",
    "AlphaVantage day": "1. open,2. high,3. low,4. close,5. volume",
    "Salesforce lead": "Id OwnerId LastName Custom1__c Custom2__c SystemModstamp MasterRecordId",
    "Genesys statistics": "tAnswered tHandle nOffered oServiceLevel oWaiting tAcw",
    "Amazon Connect": "AWSAccountId AgentConnectionAttempts Attributes Channel ContactId Queue",
    "JWT": "sub,iss,aud,exp,iat,https://example.com/roles,https://example.com/tenant",
    "OpenID": "sub name given_name email email_verified zoneinfo phone_number_verified",
    "digests": "md5 sha1 sha256 sha512 crc32c",
    "formats": "iso-8601 rfc-2822 epoch",
    "encodings": "utf-8 utf-16 iso-8859-1 windows-1252",
    "RSA sizes": "rsa-2048 rsa-4096 ed25519",
    "currencies": "USD EUR GBP JPY CHF SEK",
    "locales": "en-US en-GB de-DE pt-BR zh-Hant-TW",
    "regions": "us-east-1 us-west-2 eu-central-1 ap-southeast-2",
    "weekdays": "mon tue wed thu fri sat sun",
    "survey": " ".join(f"q{n}" for n in range(1, 121)),
    "questions": "question_1 question_2 question_3a question_10",
    "percentiles": "p50 p75 p90 p95 p99 p99.9",
    "percentiles in words": "p95LatencyInMilliseconds p99LatencyInMilliseconds",
    "spans": "last7Days last30Days last90Days averageLast7Days averageLast30Days",
    "years in words": "averageSpeedOfAnswerInSeconds2024 averageSpeedOfAnswerInSeconds2025",
    "status classes": "1xx 2xx 3xx 4xx 5xx",
    "SLA": "within15Min within30Min within60Min over24Hours",
    "addresses": "line1 line2 line3 address2 address3",
    "hosts": "db1.primary db2.replica db3.replica",
    "headers": "x-b3-traceid x-b3-spanid x-forwarded-for content-md5 sec-ch-ua",
    "labels": "app.kubernetes.io/name app.kubernetes.io/version helm.sh/chart",
    "namespaces": "dc:title dcterms:created og:image xs:string m.read m.read.private",
    "JSON-LD": "@context @type @id schema:name",
    "metrics at": "mAP@0.5 mAP@0.75 recall@10",
    "packages": "lodash@4.17.21 react@18.2.0",
    "German": "kundenNummer1 strasse2Zusatz überweisung2Betrag rückruf1Zeit",
    "abbreviations": "utf8mb4Len md5Of4kB b2bKpi3y ipv4To6Nat",
    "models": "gpt-4o gpt-4o-mini claude-3-opus llama-3.1-8b",
    "units": "m2 km2 m3 kWh kVA l100km",
    "media": "mp3Url mp4Url h264Url av1Url webm720p webm1080p",
    "sizes": "thumb small medium large 2xl 3xl",
    "versions": "v1 v2 v1beta1 v2alpha1",
    "coordinates": "x1 y1 x2 y2",
}


def keys_of(text: str) -> list[str]:
    return text.split("," if "," in text else " ")


@pytest.mark.parametrize("keys", [pytest.param(keys_of(t), id=n) for n, t in RECORDS.items()])
def test_no_record_is_taken_for_a_map(keys: list[str]) -> None:
    whole = {"r": dict.fromkeys(keys, 1), "l": [dict.fromkeys(keys, "x")]}
    parts = [{"r": {key: 1}, "l": [{key: "x"}]} for key in keys]

    # More than a hundred that come one by one are a map by their number alone.
    for sent in ([whole], parts[:100], [{}, whole, *parts]):
        head = learn(sent)
        assert {("r", key) for key in keys[:100]} <= {field.path for field in head.live}
        assert not [name for name in names(head) if "*" in name]


def test_no_object_of_an_api_with_a_thousand_models_is_taken_for_a_map() -> None:
    checked = 0
    for each in vars(models).values():
        attributes = list(getattr(each, "attribute_map", {}).values())
        if attributes:
            head = learn([{"r": {name: {"x": 1} for name in attributes}}])
            assert "r.*" not in names(head), attributes
            checked += 1
    assert checked > 1000


def test_110_named_figures_remain_fields() -> None:
    figures = [f"{a}{b}" for a in ("calls", "chats") for b in string.ascii_uppercase * 2][:104]
    figures = [f"{figure}Per{n}" for n, figure in enumerate(figures)] + list("abcdef")

    head = learn([{"kpi": dict.fromkeys(figures, 1.5)}, {"kpi": dict.fromkeys(figures[5:], 2)}])

    assert len(head.live) == 111


MAPS_OF_SERIES = {
    "case.updated": {"contacts.*", "case.statistics.byDay.*"},
    "message.received": {"recipients.*"},
}


@pytest.mark.parametrize(
    "series", sorted({each.parent for each in PAYLOADS.rglob("*.json")}), ids=lambda at: at.name
)
def test_the_maps_of_our_payloads_are_found_and_nothing_else(series: Path) -> None:
    head = learn(json.loads(each.read_bytes()) for each in sorted(series.glob("*.json")))

    maps = {name for name in names(head) if name.endswith("*")}
    assert maps == MAPS_OF_SERIES.get(series.name, set())

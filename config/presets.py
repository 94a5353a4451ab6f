"""Presets: a row for each known way of sending, with what to enter on the sender's side.

They follow the help pages of NICE and the specification of Standard Webhooks; what those do not say
stands in `unconfirmed`. What is set beside a preset wins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

_URL = ("URL", "{url}")
_POST = ("Method", "POST")
_JSON = ("Content type", "application/json")


@dataclass(frozen=True, slots=True)
class Preset:
    """One way of sending: `values` by the keys of `[sources.NAME]`; `enter` at the sender, field
    by field, where {url}, {token_url}, {source} and {secret} stand for yours."""

    sender: str
    values: Mapping[str, object]
    enter: tuple[tuple[str, str], ...]
    remarks: tuple[str, ...] = ()
    unconfirmed: tuple[str, ...] = field(default=())


def _row(
    sender: str,
    values: Mapping[str, object],
    enter: tuple[tuple[str, str], ...],
    remarks: tuple[str, ...] = (),
    unconfirmed: tuple[str, ...] = (),
) -> Preset:
    return Preset(sender, MappingProxyType(values), enter, remarks, unconfirmed)


PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        "data-action": _row(
            "CXone, in the Data Action",
            {},
            (
                _URL,
                _POST,
                _JSON,
                ("Header", "X-Nice-Webhook-Signature: base64 of HMAC-SHA256 over the raw body"),
                ("Secret", "{secret}"),
            ),
        ),
        "dfo": _row(
            "CXone Digital (DFO), for the events of cases and messages",
            {"proof": "token", "header": "X-Api-Key", "id": "eventId", "type": "eventType"},
            (_URL, _POST, _JSON, ("Header", "X-Api-Key: {secret}")),
            ("Business units stand in data.brand.businessUnitId; one source takes them all.",),
            (
                "That a header of your own can be set in your release. Where none can, let the"
                " proxy add it for the addresses of CXone (README, Connect CXone).",
            ),
        ),
        "studio": _row(
            "CXone Studio, in a REST API action",
            {"proof": "token", "header": "X-Api-Key"},
            (
                ("Address", "{url}"),
                ("Verb", "POST"),
                ("Headers", "X-Api-Key: {secret}"),
                ("Payload", 'JSON with "id" and "type": make the id once, before the action'),
            ),
            (
                "The action tries twice more by itself, with the same body: the same id and bytes"
                " are one event.",
                "It counts answers of 400 as failures: CXONE_REJECT_STATUS=202 answers 202 to a"
                " malformed body.",
                "An older action sends its JSON as application/x-www-form-urlencoded: the content"
                " type does not matter here, but the body must be the JSON alone.",
            ),
            ("That the older action sends JSON that is not percent-encoded.",),
        ),
        "integration-hub": _row(
            "CXone Integration Hub, in a connection",
            {"proof": "oauth2"},
            (
                ("Authentication", "OAuth 2.0, grant type client credentials"),
                ("Token URL", "{token_url}"),
                ("Client ID", "{source}"),
                ("Client secret", "{secret}"),
                ("Request", "POST {url}"),
                ("Payload", 'JSON with "id" and "type"'),
            ),
            ("A token lasts an hour at most, and stays valid while its secret does.",),
            (
                "How a connection sends its client secret: a form and Basic are both taken.",
                "That it asks for a new token when one has expired, and that no scope is needed.",
            ),
        ),
        "expert": _row(
            "CXone Expert, in the webhook of a site",
            {
                "header": "X-Nexus-Signature-256",
                "encoding": "hex",
                "prefix": "sha256=",
                "signed": "timestamp.body",
                "timestamp_header": "X-Nexus-Timestamp",
                "id": "header:X-Nexus-Delivery-Id",
                "type": "header:X-Nexus-Event-Type",
            },
            (
                _URL,
                ("Secret", "{secret}"),
                ("Signature", "X-Nexus-Signature-256: sha256= and hex of HMAC-SHA256"),
                ("Signed", "X-Nexus-Timestamp, a dot, the raw body"),
            ),
            (
                "Id and type come in headers that Expert does not sign: whoever stands between can"
                " change them. `_meta.unsigned` says so of every event.",
                "It waits one second for the answer: CXONE_SPOOL_AFTER stays well below.",
            ),
            (
                "That the payload is JSON: the help page shows text/xml. A body in XML is kept as"
                " a dead letter, malformed_json.",
                "That a repeated delivery keeps its id.",
            ),
        ),
        "ivr-log": _row(
            "a data stream of IVR logs",
            {
                "proof": "token",
                "header": "X-Api-Key",
                "id": ["contactId", "actionSequence"],
                "type": "const:ivr.log",
            },
            (_URL, _POST, _JSON, ("Header", "X-Api-Key: {secret}")),
            ("A record has neither id nor type: contact and number of the action are its id.",),
            ("That one POST is one record: a list of records is kept as a dead letter.",),
        ),
        "standard-webhooks": _row(
            "a sender that follows Standard Webhooks",
            {
                "header": "webhook-signature",
                "prefix": "v1,",
                "several": "on",
                "signed": "{id}.{timestamp}.{body}",
                "id_header": "webhook-id",
                "timestamp_header": "webhook-timestamp",
                "secret_format": "whsec",
                "id": "header:webhook-id",
            },
            (
                _URL,
                ("Secret", "{secret}"),
                ("Signature", "webhook-signature: v1, and base64 of HMAC-SHA256"),
                ("Signed", "webhook-id, a dot, webhook-timestamp, a dot, the raw body"),
            ),
            ('The type is the payload\'s "type", as the specification recommends.',),
        ),
    }
)

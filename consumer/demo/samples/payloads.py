"""Build one event of each type as the contact centre sent it before anything drifted, of people,
skills and codes that are invented: 555 numbers, example.com."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from types import MappingProxyType
from typing import Any
from uuid import UUID

Payload = dict[str, Any]

_BUSINESS_UNIT = 4592311


@dataclass(frozen=True, slots=True)
class Agent:
    id: int
    user_id: str
    first_name: str
    last_name: str
    team: str


@dataclass(frozen=True, slots=True)
class Customer:
    uuid: str
    name: str
    phone: str
    email: str
    language: str


AGENTS = (
    Agent(771204, "11ee5c3e-7d4b-4bd0-b5f7-0242ac110004", "Zoë", "Brandt", "Billing"),
    Agent(771377, "11ee5c3e-9a02-4c11-8d57-0242ac110009", "Siobhán", "O'Dwyer", "Retention"),
    Agent(770001, "11ee5c3e-01f4-4e5e-9b3a-0242ac110001", "Aiko", "宮崎", "Service desk"),
    Agent(771902, "11ee5c3e-c3d8-4a7f-a1c6-0242ac110017", "Luis", "Ibáñez", "Billing"),
    Agent(772015, "11ee5c3e-e6b1-4f42-8e0b-0242ac110021", "Marcus", "Hale", "Digital"),
)

CUSTOMERS = (
    Customer(
        "0d6f1a4e-6a5b-4f0c-9a60-6c8d1d1f0a01",
        "Dana Whitfield",
        "+1-303-555-0188",
        "dana.whitfield@example.com",
        "en-US",
    ),
    Customer(
        "6f3a7d39-02a1-4a5e-8f04-7a9a5a0c1c02",
        "Jürgen Weiß",
        "+1-512-555-0163",
        "j.weiss@example.com",
        "de-DE",
    ),
    Customer(
        "a8e2c4b0-9c44-4b51-bd5a-1f1c9b2b3d03",
        "Priya Raghunathan",
        "+1-646-555-0171",
        "priya.r@example.com",
        "en-GB",
    ),
    Customer(
        "f10b7c66-3d0e-4c3b-8e55-5f54c9a7ee04",
        "Amélie Fournier",
        "+1-617-555-0134",
        "amelie.fournier@example.com",
        "fr-FR",
    ),
    Customer(
        "3f0f2c1e-57b7-4f2f-a35c-6f1f4f1b8a05",
        "王秀英",
        "+1-415-555-0102",
        "wang.xiuying@example.com",
        "zh-Hans",
    ),
    Customer(
        "b7e61d3e-9a86-4b34-a0a2-3e6d1b5e2f06",
        "Inés Peña",
        "+1-786-555-0126",
        "ines.pena@example.com",
        "es-MX",
    ),
    Customer(
        "c4a9d2f8-7b13-4d6a-92ce-8f5b6e3a1d07",
        "Tom Okafor",
        "+1-212-555-0119",
        "tom.okafor@example.com",
        "en-US",
    ),
)

# Ids and names as they appear in payloads.
SKILLS = ((21894, "Billing EN"), (21901, "Billing FR"), (21977, "Retention"), (22040, "E-mail DE"))
DISPOSITIONS = ((17, "Resolved"), (21, "Retained"), (34, "Callback agreed"), (40, "Wrong number"))
STATES = ("Available", "Working", "AfterContactWork", "Unavailable")
OUT_STATES = ((12, "Lunch"), (14, "Training"), (15, "Meeting"))
CASE_STATUSES = ("new", "open", "pending", "escalated", "resolved")
CHANNELS = (("chat_web", "chat"), ("email_support", "email"), ("whatsapp_main", "whatsapp"))
MESSAGES = (
    "Hi, my order never arrived 😟",
    "¿Hola? ¿Hay alguien ahí?",
    "Foto vom Zähler anbei. LG",
    "Thanks, that solved it!",
    "My invoice shows a fee that I don't know.",
    "C'est toujours en panne depuis hier…",
)


@dataclass(frozen=True, slots=True)
class Moment:
    """The people and the time of an event; events of one contact share everything but `at`."""

    rng: Random
    at: datetime
    contact_id: int
    agent: Agent
    customer: Customer
    skill: tuple[int, str]


def moment(rng: Random, at: datetime, contact: int) -> Moment:
    """The moment `at`, in the conversation numbered `contact`."""
    return Moment(
        rng=rng,
        at=at,
        contact_id=418_720_000_000 + contact * 7919,
        agent=AGENTS[contact % len(AGENTS)],
        customer=CUSTOMERS[contact % len(CUSTOMERS)],
        skill=SKILLS[contact % len(SKILLS)],
    )


def iso(at: datetime) -> str:
    """ISO 8601 in UTC with milliseconds."""
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"


def new_uuid(rng: Random) -> str:
    return str(UUID(int=rng.getrandbits(128), version=4))


def contact_created(now: Moment) -> Payload:
    entered = now.at - timedelta(seconds=now.rng.randint(1, 90))
    return {
        "contactId": now.contact_id,
        "masterContactId": now.contact_id,
        "inContactId": str(now.contact_id),
        "mediaType": "voice",
        "isInbound": True,
        "priority": now.rng.randint(1, 5),
        "campaign": {"id": 3104, "name": "Billing"},
        "skill": {"id": now.skill[0], "name": now.skill[1], "mediaTypeId": 4},
        "agent": None,
        "agent_skills": [],
        "customer": {
            "name": now.customer.name,
            "phone": now.customer.phone,
            "email": now.customer.email,
            "language": now.customer.language,
        },
        "queue": {"enteredAt": iso(entered), "position": now.rng.randint(1, 9)},
        "tags": now.rng.sample(("vip", "repeat", "überfällig"), now.rng.randint(0, 2)),
    }


def agent_state_changed(now: Moment) -> Payload:
    before, after = now.rng.sample(STATES, 2)
    seconds = now.rng.randint(5, 2400)
    return {
        "agent": {
            "id": now.agent.id,
            "userId": now.agent.user_id,
            "name": f"{now.agent.first_name} {now.agent.last_name}",
            "team": now.agent.team,
        },
        "session": {"id": 55_000_000 + now.agent.id, "station": "555-0119"},
        "previous": {"state": before, "seconds": seconds},
        "current": {"state": after, "since": iso(now.at), "outState": None},
        "capacity": {"voice": 1, "chat": 3, "email": 5},
    }


def message_received(now: Moment) -> Payload:
    channel, kind = now.rng.choice(CHANNELS)
    return {
        "channel": {"id": channel, "kind": kind},
        "thread": {"id": f"{kind}_{now.contact_id:x}", "canReplyToThread": True},
        "message": {
            "id": f"{now.contact_id:x}-{now.rng.getrandbits(24):06x}",
            "direction": "inbound",
            "content": now.rng.choice(MESSAGES),
            "contentType": "text/plain",
            "attachments": [],
        },
        "sender": {"kind": "customer", "fullName": now.customer.name},
        "case": {"id": now.contact_id // 7919, "contactId": str(now.contact_id)},
    }


def case_updated(now: Moment) -> Payload:
    before, after = now.rng.sample(CASE_STATUSES, 2)
    return {
        "case": {
            "caseId": now.contact_id // 7919,
            "status": after,
            "priority": now.rng.randint(1, 4),
            "createdAt": iso(now.at - timedelta(hours=now.rng.randint(1, 72))),
            "updatedAt": iso(now.at),
            "assignee": {"agentId": now.agent.id, "userId": now.agent.user_id},
            "statistics": {"inboundMessages": now.rng.randint(1, 9), "firstReplySeconds": 380},
        },
        "changes": [{"field": "status", "from": before, "to": after}],
    }


def contact_ended(now: Moment) -> Payload:
    queue, talk, hold = now.rng.randint(1, 90), now.rng.randint(20, 900), now.rng.randint(0, 60)
    return {
        "contactId": now.contact_id,
        "inContactId": str(now.contact_id),
        "endReason": now.rng.choice(("customer_hangup", "agent_hangup", "transfer")),
        "abandoned": False,
        "agentId": now.agent.id,
        "durations": {"total": queue + talk + hold, "queue": queue, "talk": talk, "hold": hold},
        "legs": [{"legId": f"{now.contact_id}-1", "from": now.customer.phone, "seconds": talk}],
    }


def disposition_saved(now: Moment) -> Payload:
    code, name = now.rng.choice(DISPOSITIONS)
    return {
        "contactId": now.contact_id,
        "agentId": now.agent.id,
        "primary": {"id": code, "name": name},
        "secondary": None,
        "notes": f"{name}; spoke with {now.customer.name}.",
        "wrapUpSeconds": now.rng.randint(3, 120),
        "requeue": False,
    }


BUILDERS: Mapping[str, Callable[[Moment], Payload]] = MappingProxyType(
    {
        "contact.created": contact_created,
        "agent.state_changed": agent_state_changed,
        "message.received": message_received,
        "case.updated": case_updated,
        "contact.ended": contact_ended,
        "disposition.saved": disposition_saved,
    }
)


def build(event_type: str, now: Moment) -> Payload:
    """One event with its envelope: `id`, `type`, `timestamp`, `businessUnit`."""
    return {
        "id": new_uuid(now.rng),
        "type": event_type,
        "timestamp": iso(now.at),
        "businessUnit": _BUSINESS_UNIT,
        **BUILDERS[event_type](now),
    }

"""Build one event of each type as the contact centre sent it before anything drifted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from types import MappingProxyType
from typing import Any
from uuid import UUID

from consumer.samples.people import (
    AGENTS,
    CASE_STATUSES,
    CHANNELS,
    CUSTOMERS,
    DISPOSITIONS,
    MESSAGES,
    SKILLS,
    STATES,
    Agent,
    Customer,
)

Payload = dict[str, Any]

_BUSINESS_UNIT = 4592311


@dataclass(frozen=True, slots=True)
class Moment:
    """What an event is about; events of one contact share everything but `at`."""

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

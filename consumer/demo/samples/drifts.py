"""Changes that come half-way of the stream: one row each, unannounced as with real senders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from consumer.demo.samples.payloads import OUT_STATES, SKILLS, Moment, Payload, iso


@dataclass(frozen=True, slots=True)
class Drift:
    """From the share `since` of the stream on (0 to 1), `apply` changes every event of the type."""

    event_type: str
    since: float
    note: str
    apply: Callable[[Payload, Moment], None]


def _agent_assigned(payload: Payload, now: Moment) -> None:
    payload["agent"] = {
        "id": now.agent.id,
        "firstName": now.agent.first_name,
        "lastName": now.agent.last_name,
        "team": {"name": now.agent.team},
    }


def _skills_listed(payload: Payload, now: Moment) -> None:
    chosen = now.rng.sample(SKILLS, 2)
    payload["agent_skills"] = [
        {"id": code, "name": name, "level": now.rng.randint(1, 5)} for code, name in chosen
    ]


def _loyalty_known(payload: Payload, now: Moment) -> None:
    points = now.rng.randint(0, 40_000)
    payload["customer"]["loyalty"] = {
        "tier": "gold" if points > 20_000 else "blue",
        "points": points,
    }


def _out_state_named(payload: Payload, now: Moment) -> None:
    code, name = now.rng.choice(OUT_STATES)
    payload["current"]["outState"] = {"code": code, "name": name, "paid": code != 12}


def _files_attached(payload: Payload, now: Moment) -> None:
    payload["message"]["attachments"] = [
        {
            "fileName": "Zähler (1).jpg",
            "mimeType": "image/jpeg",
            "size": now.rng.randint(9000, 90000),
        }
    ]


def _participants_by_id(payload: Payload, now: Moment) -> None:
    payload["participants"] = {
        now.customer.uuid: {"role": "customer", "readAt": None},
        now.agent.user_id: {"role": "agent", "readAt": iso(now.at)},
    }


def _priority_in_words(payload: Payload, now: Moment) -> None:
    payload["case"]["priority"] = now.rng.choice(("low", "normal", "high"))


def _fractional_seconds(payload: Payload, now: Moment) -> None:
    payload["durations"]["talk"] += now.rng.choice((0.25, 0.5, 0.75))


def _id_spelled_twice(payload: Payload, now: Moment) -> None:
    payload["incontactId"] = now.contact_id


def _sentiment_scored(payload: Payload, now: Moment) -> None:
    score = now.rng.randint(-100, 100) / 100
    payload["sentiment"] = {"overall": "positive" if score > 0 else "mixed", "score": score}


DRIFTS = (
    Drift("contact.created", 0.15, "agent: null becomes an object", _agent_assigned),
    Drift(
        "agent.state_changed", 0.25, "current.outState: null becomes an object", _out_state_named
    ),
    Drift("contact.created", 0.35, "agent_skills: the first items", _skills_listed),
    Drift("message.received", 0.4, "message.attachments: the first items", _files_attached),
    Drift("contact.ended", 0.45, "durations.talk: seconds get a fraction", _fractional_seconds),
    Drift("disposition.saved", 0.5, "sentiment appears", _sentiment_scored),
    Drift("contact.created", 0.55, "customer.loyalty appears", _loyalty_known),
    Drift("case.updated", 0.6, "case.priority: a number becomes text", _priority_in_words),
    Drift("message.received", 0.7, "participants appears, keyed by id", _participants_by_id),
    Drift("contact.ended", 0.75, "incontactId appears beside inContactId", _id_spelled_twice),
)

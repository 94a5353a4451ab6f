"""The invented people, skills and codes that samples speak of: 555 numbers, example.com."""

from __future__ import annotations

from dataclasses import dataclass


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

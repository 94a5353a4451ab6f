"""Events that a user's index or validator takes as sent are stored, whatever we would fill in."""

from __future__ import annotations

import copy
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pymongo.database import Database

from consumer.core.delivery import Event
from consumer.core.errors import ConstraintViolation, Unstorable
from consumer.core.paths import from_text
from consumer.events.constraints import Constraints, is_constraint, read_constraints
from consumer.events.documents import Stamp, encode, layout
from consumer.events.filling import Fill, FilledEvents, Prepared, free_key
from consumer.events.recent import as_sent
from consumer.events.store import EventStore
from consumer.schemas.defaults import unfill
from consumer.schemas.manual_changes import alias
from consumer.schemas.policy import Defaults, SchemaPolicy, subject_policy
from consumer.schemas.registry.registry import SchemaRegistry
from tests.support.backfill import LONG_AGO, backfill, payload_part, registry
from tests.support.constraints import CASES, CONTACT, NAMED, ON_EMAIL, WITHOUT_EMAIL, Case
from tests.support.jobs import Run

Document = dict[str, Any]
Db = Database[Document]


class Intake:
    """Takes payloads of the subject `s` as ingest does."""

    def __init__(self, database: Db, policy: SchemaPolicy | None = None) -> None:
        self.database = database
        self.schemas: SchemaRegistry = registry(database, policy)
        self.looks = 0
        events = EventStore(database["events"], conflicts_matter=False)
        self.events = FilledEvents(
            events, compiled=self.schemas.compiled, read=self._look, free=self._free
        )

    def _look(self) -> Constraints:
        self.looks += 1
        return read_constraints(self.database["events"])

    def _free(self, constraints: Constraints, refusal: Any) -> bool:
        return free_key(self.database["events"], constraints, refusal, self.schemas.compiled)

    def take(self, _id: str, payload: Document) -> bool:
        def prepare(fill: Fill) -> Prepared:
            event = Event(_id, "s", copy.deepcopy(payload), _id)
            admission = self.schemas.admit("s", event.payload, _id)
            filled = fill("s", event.payload, admission)
            unfilled = admission.version if filled.left_out else 0
            stamp = Stamp("s", admission.version, 1, LONG_AGO, LONG_AGO, filled.positions, unfilled)
            return Prepared("s", encode(layout(_id, event, stamp)), _id)

        return self.events.append(prepare)

    def inserts(self) -> int:
        """The number of inserts that MongoDB was asked for, the refused ones too."""
        wanted = {"op": "insert", "ns": f"{self.database.name}.events"}
        return self.database["system.profile"].count_documents(wanted)

    def stored(self, _id: str) -> Document:
        found = self.database["events"].find_one({"_id": _id})
        assert found is not None
        return found


def taught(database: Db, case: Case) -> Intake:
    case.constrain(database)
    intake = Intake(database, case.policy)
    for number, payload in enumerate(case.knows):
        try:
            intake.take(f"known {number}", payload)
        except ConstraintViolation:
            # What it sends is refused, and known all the same.
            continue
    return intake


@pytest.mark.parametrize("name", CASES)
def test_what_is_refused_for_its_filling_is_stored_without_what_the_refusal_blames(
    database: Db, name: str
) -> None:
    case = CASES[name]
    intake = taught(database, case)
    database.command("profile", 2)

    for number in range(3):
        assert intake.take(str(number), case.sent)

    database.command("profile", 0)
    last = intake.stored("2")
    assert payload_part(last) == case.stored
    assert last["_meta"]["unfilled"] == last["schema_version"]
    # A cause costs a second insert, once.
    assert intake.inserts() == 4
    # What was filled is told exactly: unfill(fill(p)) == p.
    sent = payload_part(last)
    head = intake.schemas.head("s")
    assert head is not None
    unfill(sent, last["_meta"].get("filled", []), head)
    assert sent == case.sent
    assert intake.take("2", case.sent) is False


@pytest.mark.parametrize("name", CASES)
def test_once_the_constraint_is_gone_everything_is_filled_again(database: Db, name: str) -> None:
    case = CASES[name]
    intake = taught(database, case)
    intake.take("1", case.sent)
    intake.take("2", case.sent)

    intake.events.refresh()
    assert "unfilled" in intake.stored("2")["_meta"]
    database["events"].drop_indexes()
    database.command("collMod", "events", validator={})
    intake.events.refresh()
    intake.take("3", case.sent)

    assert "unfilled" not in intake.stored("3")["_meta"]


def test_many_at_once_share_their_inserts_and_each_is_stored_once(database: Db) -> None:
    intake = Intake(database)
    intake.take("known", CONTACT)
    database["events"].create_index(ON_EMAIL, unique=True, sparse=True)
    database["events"].create_index([("order", 1)], unique=True, sparse=True, name="orders")
    payloads = [{**NAMED, **({"order": 1} if n % 50 == 0 else {})} for n in range(400)]

    def take(number: int) -> str:
        try:
            return "new" if intake.take(str(number % 380), payloads[number % 380]) else "known"
        except ConstraintViolation:
            return "refused"

    with ThreadPoolExecutor(16) as pool:
        outcomes = Counter(pool.map(take, range(400)))

    # One of eight has the order alone, and the others of them are refused as often as they come.
    assert outcomes["refused"] + outcomes["known"] + outcomes["new"] == 400
    assert outcomes["new"] == 380 - 7
    stored = list(database["events"].find({"_id": {"$ne": "known"}}))
    assert len({document["_id"] for document in stored}) == len(stored) == 380 - 7
    assert sum(document["customer"].get("email", "") is None for document in stored) == 1
    assert sum("unfilled" in document["_meta"] for document in stored) == 380 - 7 - 1


def test_a_process_without_refusals_never_looks_at_the_constraints(database: Db) -> None:
    intake = Intake(database)
    intake.take("1", CONTACT)
    intake.take("2", NAMED)

    intake.events.refresh()

    assert intake.looks == 0
    assert payload_part(intake.stored("2")) == {
        "customer": {"name": "A", "email": None},
        "note": None,
    }


@pytest.mark.parametrize(
    ("typed", "index", "known", "lacks", "sends"),
    [
        (False, ON_EMAIL, CONTACT, NAMED, {"customer": {"email": None}}),
        (True, [("n", 1)], {"n": 7, "a": 1}, {"a": 2}, {"n": 0}),
        (True, [("n", 1), ("s", 1)], {"n": 7, "s": "x"}, {"n": 1}, {"n": 1, "s": ""}),
        (True, [("o.n", 1)], {"o": {"n": 7}, "a": 1}, {"a": 2}, {"o": {"n": 0}}),
    ],
)
@pytest.mark.parametrize("by_backfill", [False, True])
def test_a_key_that_was_only_filled_in_is_free_for_who_sends_it(
    database: Db,
    typed: bool,
    index: Any,
    known: Document,
    lacks: Document,
    sends: Document,
    by_backfill: bool,
) -> None:
    intake = Intake(database, SchemaPolicy(subject_policy(typed=typed)))
    # Somebody's document without the field, which the index does not hold.
    database["events"].insert_one({"_id": "theirs"})
    steps = [("known", known), ("filled", lacks)]
    for _id, payload in reversed(steps) if by_backfill else steps:
        intake.take(_id, payload)
    backfill(database, intake.schemas)(Run())
    database["events"].create_index(index, unique=True, sparse=True)
    held = intake.stored("filled")

    assert intake.take("sent", sends)

    holder = intake.stored("filled")
    assert holder["_meta"]["unfilled"] == held["_meta"]["backfilled_to"]
    head = intake.schemas.compiled("s")
    assert head.version is not None
    assert as_sent(holder, head.version, head.defaults) == lacks
    assert payload_part(holder) != payload_part(held)
    # Who sends it once more is refused, for this one was sent with it.
    with pytest.raises(ConstraintViolation):
        intake.take("again", {**sends, "other": 1})
    assert as_sent(intake.stored("sent"), head.version, head.defaults) == sends


def test_of_parallel_arrays_only_those_are_left_out_that_stand_in_the_index(database: Db) -> None:
    intake = Intake(database, SchemaPolicy(subject_policy(typed=True)))
    intake.take("known", {"a": [1], "c": [1], "d": 1})
    intake.take("known too", {"b": 1})
    intake.take("and this", {"b": [1], "a": None})
    database["events"].delete_many({})
    database["events"].create_index([("a", 1), ("b", 1)])
    database["events"].create_index([("c", 1), ("d", 1)])

    intake.take("1", {"b": [2]})

    assert payload_part(intake.stored("1")) == {"b": [2], "c": [], "d": 0}


def test_what_several_constraints_refuse_loses_what_each_of_them_blames(database: Db) -> None:
    intake = Intake(database)
    intake.take("known", {**CONTACT, "language": "english", "spare": 1})
    database["events"].create_index(ON_EMAIL, unique=True, sparse=True)
    database["events"].create_index([("note", "text")])
    intake.take("1", {"customer": {"name": "B", "email": None}, "language": "english"})

    intake.take("2", NAMED)

    assert payload_part(intake.stored("2")) == {**WITHOUT_EMAIL, "spare": None}


def test_what_is_refused_as_sent_names_the_index_and_is_tried_once(database: Db) -> None:
    intake = Intake(database)
    intake.take("known", {"order": "secret", "note": 1})
    database["events"].create_index("order", unique=True, name="orders")
    database.command("profile", 2)

    with pytest.raises(ConstraintViolation, match="orders") as caught:
        intake.take("1", {"order": "secret"})

    database.command("profile", 0)
    assert intake.inserts() == 1
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("index", "sent", "code"),
    [
        ([("w", "text")], {"w": "w", "language": "klingon"}, 17262),
        ([("w", "text")], {"w": "w", "language": 7}, 17261),
        ([("p", "2dsphere")], {"p": {"type": "Point", "coordinates": [900, 0]}}, 16755),
        ([("p", "2d")], {"p": [1]}, 13068),
        ([("p", "2d")], {"p": [900, 0]}, 13027),
        ([("p", "2d")], {"p": {"a": None, "b": None}}, 16804),
        ([("p", "2d")], {"p": {"a": 1, "b": None}}, 13026),
        ([("h", "hashed")], {"h": [1]}, 16766),
        ([("a", 1), ("b", 1)], {"a": [1], "b": [2]}, 171),
    ],
)
def test_every_index_that_refuses_what_was_sent_is_named(
    database: Db, index: Any, sent: Document, code: int
) -> None:
    database["events"].create_index(index, name="of the user")
    intake = Intake(database)
    intake.take("known", {"other": 1})

    with pytest.raises(ConstraintViolation, match="of the user") as caught:
        intake.take("1", sent)

    assert str(code) in str(caught.value)
    assert "klingon" not in str(caught.value)


def test_one_that_is_too_large_by_its_filling_is_stored_without_and_says_nothing_of_others(
    database: Db,
) -> None:
    intake = Intake(database, SchemaPolicy(subject_policy(defaults={"b": "x" * 20_000})))
    intake.take("known", {"a": 1, "b": "b"})
    large = {"a": "x" * (16 * 1024 * 1024 - 10_000)}

    intake.take("large", large)
    intake.take("small", {"a": "x"})

    assert payload_part(intake.stored("large")) == large
    assert intake.stored("large")["_meta"]["unfilled"] == 2
    assert intake.stored("small")["b"] == "x" * 20_000
    with pytest.raises(Unstorable):
        intake.take("larger", {"a": "x" * 16 * 1024 * 1024})


@pytest.mark.parametrize(
    ("code", "of_the_document"),
    [
        *((code, True) for code in (11000, 121, 171, 201, 13027, 16755, 16804, 17261, 5726201)),
        # Interrupted, stepped down, without room on its disk; and the sizes of documents.
        *((code, False) for code in (11600, 11602, 13435, 14031, 112, 10334, 17419, 17420, None)),
    ],
)
def test_a_refusal_of_one_document_is_told_from_a_state_of_the_server(
    code: int | None, of_the_document: bool
) -> None:
    assert is_constraint(code) is of_the_document


def aliased(intake: Intake, old: str, new: str) -> None:
    intake.schemas.change("s", lambda head, now: alias(head, from_text(old), from_text(new), now))


def test_a_copy_that_an_index_refuses_is_left_out_of_its_event_and_of_no_other(
    database: Db,
) -> None:
    intake = Intake(database)
    intake.take("0", {"old": 0, "id": "0"})
    numbers = {"old": {"$type": "number"}}
    database["events"].create_index("old", unique=True, partialFilterExpression=numbers)
    aliased(intake, "old", "new")

    for _id, value in (("1", 1), ("2", 1), ("3", 1), ("4", 2)):
        assert intake.take(_id, {"new": value})

    assert intake.take("5", {"id": "5"})

    found = [intake.stored(_id).get("old", "none") for _id in "12345"]
    assert found == [1, "none", "none", 2, None]
    assert "unfilled" in intake.stored("2")["_meta"]


def test_a_copy_is_stored_where_the_default_of_its_field_is_refused(database: Db) -> None:
    intake = Intake(database)
    database["events"].create_index("old", unique=True, sparse=True)
    intake.take("0", {"old": 0, "id": "0"})
    for _id in ("1", "2"):
        intake.take(_id, {"id": _id, "new": 5})
        database["events"].update_one({"_id": _id}, {"$unset": {"new": ""}})
    aliased(intake, "old", "new")

    assert intake.take("3", {"new": 7})

    assert intake.stored("3")["old"] == 7


def test_the_key_of_an_index_that_filters_on_it_is_freed_of_the_document_that_holds_it(
    database: Db,
) -> None:
    intake = Intake(database, SchemaPolicy(subject_policy(defaults={"code": "m"})))
    texts = {"code": {"$type": "string"}}
    database["events"].create_index("code", unique=True, partialFilterExpression=texts)
    intake.take("0", {"id": "0", "code": "a"})
    intake.take("1", {"id": "1"})
    assert intake.stored("1")["code"] == "m"

    assert intake.take("2", {"id": "2", "code": "m"})

    found = [intake.stored(_id).get("code", "none") for _id in "012"]
    assert found == ["a", "none", "m"]
    assert "unfilled" in intake.stored("1")["_meta"]


def test_a_hidden_index_that_refuses_an_event_is_no_outage(database: Db) -> None:
    intake = Intake(database)
    database["events"].create_index("code", unique=True, sparse=True, hidden=True)
    intake.take("0", {"id": "0", "code": "a"})

    with pytest.raises(ConstraintViolation, match="code"):
        intake.take("1", {"id": "1", "code": "a"})

    assert intake.take("2", {"id": "2"})


def test_a_key_that_is_held_by_a_copy_only_is_freed_for_an_event_sent_with_it(
    database: Db,
) -> None:
    intake = Intake(database)
    intake.take("0", {"old": 0, "id": "0"})
    database["events"].create_index("old", unique=True)
    aliased(intake, "old", "new")
    intake.take("copy", {"new": 5})
    assert intake.stored("copy")["old"] == 5

    assert intake.take("sent", {"old": 5})

    assert (intake.stored("sent")["old"], "old" in intake.stored("copy")) == (5, False)
    assert "unfilled" in intake.stored("copy")["_meta"]
    head = intake.schemas.head("s")
    assert head is not None
    assert as_sent(intake.stored("copy"), head, Defaults()) == {"new": 5}

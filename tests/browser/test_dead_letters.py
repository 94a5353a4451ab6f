"""Dead letters in the browser: see why, put one right, and end many."""

from __future__ import annotations

from typing import Any

import pytest
from pymongo.database import Database
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from tests.browser.conftest import opened
from tests.browser.console import Console
from tests.support.service import eventually

Db = Database[dict[str, Any]]


def letter(database: Db, **query: Any) -> dict[str, Any]:
    found = database["dead_letter_queue"].find_one(query)
    assert found is not None
    return found


def open_only(console: Console, database: Db) -> str:
    """Open the page of the one dead letter there is, by the list; its id."""
    eventually(lambda: database["dead_letter_queue"].count_documents({}) == 1)
    _id: str = letter(database)["_id"]
    console.open("/dead-letters")
    console.browser.find_element(By.LINK_TEXT, _id[:8]).click()
    console.until(lambda: "History" in console.text)
    return _id


def write(console: Console, label: str, text: str) -> None:
    field = console.field(label)
    field.clear()
    field.send_keys(text)


def said(console: Console) -> str:
    return console.browser.find_element(By.CSS_SELECTOR, "[role=status]").text


def test_a_dead_letter_is_edited_its_difference_seen_and_it_becomes_an_event(
    console: Console, database: Db
) -> None:
    assert console.service.post(b'{"type":"t","note":"<b>&amp;"}').status == 400
    console.log_in("Grace")
    open_only(console, database)
    assert "Missing required CXone fields: id, type" in console.text
    console.browser.find_element(By.LINK_TEXT, "Edit and retry…").click()
    console.until(lambda: "Show the difference" in console.text)
    assert console.field("Body").get_attribute("value") == '{"type":"t","note":"<b>&amp;"}'

    write(console, "Body", '{"id":"fixed","type":"t","note":"<b>&amp;"}')
    console.press("Show the difference")
    added = [each.text for each in console.browser.find_elements(By.TAG_NAME, "ins")]
    deeds = database["audit"].count_documents({"what": "dlq edit"})
    events = database["events"].count_documents({})
    console.press("Retry with this body")

    assert [each.split() for each in added] == [["is:", '"id":"fixed",']]
    assert (deeds, events) == (0, 0)
    assert said(console) == "Resolved: it is processed."
    document = database["events"].find_one({"_meta.key": "fixed"})
    assert document is not None
    assert document["note"] == "<b>&amp;"
    assert letter(database)["history"][-1]["by"] == "Grace (console) (dlq edit)"
    assert bytes(letter(database)["original_payload"]) == b'{"type":"t","note":"<b>&amp;"}'
    console.browser.find_element(By.LINK_TEXT, "To the event it became").click()
    console.until(lambda: "SHA-256" in console.text)
    console.open("/audit")
    assert "dlq edit" in console.text


@pytest.mark.slow
def test_an_edit_that_is_no_event_is_told_and_changes_nothing(
    console: Console, database: Db
) -> None:
    console.service.post(b'{"type":"t"}')
    console.log_in()
    _id = open_only(console, database)
    console.open(f"/dead-letters/edit?id={_id}")

    console.press("Show the difference")
    unchanged = console.browser.find_element(By.CSS_SELECTOR, "[role=alert]").text
    write(console, "Body", '{"type":"t",}')
    console.press("Show the difference")
    fault = console.browser.find_element(By.CSS_SELECTOR, "[role=alert]").text

    assert unchanged == "Nothing was changed."
    assert fault.startswith("This is no event: Malformed JSON")
    assert console.field("Body").get_attribute("value") == '{"type":"t",}'
    assert database["audit"].count_documents({"what": "dlq edit"}) == 0


@pytest.mark.slow
def test_a_known_repair_is_shown_before_it_is_made(console: Console, database: Db) -> None:
    console.service.post(b'{"id":"1","type":"t","n":1,"note":"a\nb",}')
    console.log_in()
    open_only(console, database)
    shown = console.browser.find_element(By.CSS_SELECTOR, ".difference").text
    if "Repair and retry" in console.text:
        console.press("Repair and retry")

    assert "note" in shown
    document = database["events"].find_one({"_meta.key": "1"})
    assert document is not None
    assert document["note"] == "a\nb"
    assert "trailing_comma" in document["_meta"]["repairs"]


def test_markup_in_a_body_is_text_in_every_view(console: Console, database: Db) -> None:
    evil = "<script>window.broken = 1</script>"
    console.service.post({"type": evil, evil: evil})
    console.log_in()
    _id = open_only(console, database)

    for view in ("json", "raw", "hex"):
        console.open(f"/dead-letters/one?id={_id}&view={view}")
        assert "script>" in console.browser.find_element(By.TAG_NAME, "pre").text
        assert console.browser.find_elements(By.CSS_SELECTOR, "main script") == []
    console.open(f"/dead-letters/edit?id={_id}")

    assert evil in (console.field("Body").get_attribute("value") or "")
    assert console.browser.execute_script("return window.broken") is None


def test_what_is_masked_stays_masked_while_it_is_edited_and_keeps_its_value(
    browser: Chrome, mongod_uri: str, database: Db
) -> None:
    with opened(browser, mongod_uri, database, cxone_redact="customer.email") as console:
        console.service.post(b'{"type":"t","customer":{"email":"kim@example.com"},"n":1}')
        console.log_in()
        _id = open_only(console, database)
        seen = browser.page_source
        console.open(f"/dead-letters/edit?id={_id}")
        seen += browser.page_source

        write(console, "Body", '{"id":"1","type":"t","note":"[masked 1]"}')
        console.press("Show the difference")
        refused = console.browser.find_element(By.CSS_SELECTOR, "[role=alert]").text
        write(console, "Body", '{"id":"1","type":"t","customer":{"email":"[masked 1]"},"n":2}')
        console.press("Show the difference")
        seen += browser.page_source
        console.press("Retry with this body")
        seen += browser.page_source

        assert "may only stand where it is masked" in refused
        assert "kim@example" not in seen
        document = database["events"].find_one({"_meta.key": "1"})
        assert document is not None
        assert document["customer"] == {"email": "kim@example.com"}


def fill(database: Db, model: dict[str, Any], count: int) -> None:
    copies = [{**model, "_id": f"{n:024x}"} for n in range(count)]
    database["dead_letter_queue"].insert_many(copies)


@pytest.mark.slow
def test_many_are_discarded_step_by_step_after_their_number_was_shown(
    console: Console, database: Db
) -> None:
    console.service.post(b'{"type":"t"}')
    console.service.post(b'{"id":"1","type":"held-back"')
    fill(database, letter(database, reason="missing_fields"), 700)
    console.log_in("Grace")
    console.open("/dead-letters?reason=missing_fields")
    console.press("Discard…")
    console.until(lambda: "Why are they not needed?" in console.text)
    assert "Discard 701 dead letters" in console.text
    assert database["dead_letter_queue"].count_documents({"status": "discarded"}) == 0

    write(console, "Why are they not needed?", "a test of the sender")
    console.press("Discard 701")
    console.until(lambda: "Discarded 701: 701 discarded." in console.text, timeout=60)

    ended = list(database["dead_letter_queue"].find({"status": "discarded"}))
    assert {entry["reason"] for entry in ended} == {"missing_fields"}
    assert {entry["discarded_because"] for entry in ended} == {"a test of the sender"}
    deeds = list(database["audit"].find({"what": "dlq discard"}))
    assert [(deed["who"], deed["count"]) for deed in deeds] == [("Grace (console)", 701)]


@pytest.mark.slow
def test_many_are_retried_and_what_stays_is_told(console: Console, database: Db) -> None:
    console.service.post(b'{"type":"t"}')
    wrong = letter(database)
    right = {**wrong, "original_payload": b'{"id":"1","type":"t"}', "reason": "store_error"}
    database["dead_letter_queue"].insert_one({**right, "_id": "a" * 24, "status": "parked"})
    console.log_in()
    console.open("/dead-letters/bulk?what=retry")

    console.press("Retry 2")
    console.until(lambda: "Retried 2" in console.text)

    assert "1 resolved: processed" in said(console)
    assert "1 stays: missing fields" in said(console)
    assert database["events"].count_documents({"_meta.key": "1"}) == 1


@pytest.mark.slow
def test_the_list_is_grouped_filtered_and_says_what_it_is_about(
    console: Console, database: Db
) -> None:
    console.service.post(b'{"type":"t"}')
    console.service.post(b'{"type":"u"}')
    console.service.post(b'{"id":"1","type":')
    console.log_in()

    console.open("/dead-letters")
    groups = console.browser.find_element(By.CSS_SELECTOR, "tbody").text
    console.open("/dead-letters?type=u")
    rows = console.browser.find_elements(By.CSS_SELECTOR, "table")[1].text
    console.open("/dead-letters?status=resolved")
    none = console.text

    assert "missing_fields" in groups
    assert "2 to inspect" in groups
    assert rows.count("missing_fields") == 1
    assert "No dead letter fits." in none

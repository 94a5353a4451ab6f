"""Stored events in the browser: find one, and see what of it was sent and what was filled in."""

from __future__ import annotations

from typing import Any

import pytest
from pymongo.database import Database
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from tests.browser.conftest import opened
from tests.browser.console import Console
from tests.support.backfill import backfill, registry
from tests.support.jobs import Run

Db = Database[dict[str, Any]]


def rows(console: Console) -> dict[str, list[str]]:
    """Origin, value, type and since of each field on the page of an event, by path."""
    return {
        row.find_element(By.TAG_NAME, "th").get_attribute("title") or "": [
            cell.text for cell in row.find_elements(By.TAG_NAME, "td")
        ]
        for row in console.browser.find_elements(By.CSS_SELECTOR, "main tbody tr")
    }


def listed(console: Console) -> list[str]:
    return [each.text for each in console.browser.find_elements(By.CSS_SELECTOR, "tbody th")]


def test_an_event_is_found_by_its_id_and_each_field_says_where_it_comes_from(
    console: Console, database: Db
) -> None:
    post = console.service.post
    post({"id": "early", "type": "contact.created", "agent": {"name": "Kim"}})
    post({"id": "late", "type": "contact.created", "agent": {"name": "Lu", "team": 7}, "vip": True})
    post({"id": "sparse", "type": "contact.created", "score": None})
    backfill(database, registry(database))(Run())
    console.log_in()
    console.open("/events")
    console.field("Id, or its beginning").send_keys("early")
    console.press("Find")
    console.browser.find_element(By.LINK_TEXT, "early").click()
    console.until(lambda: "SHA-256" in console.text)

    early = rows(console)
    copy = console.browser.find_element(By.CSS_SELECTOR, "[data-copy=copy-id]")
    copy.click()
    console.until(lambda: copy.text == "Copied")
    console.open("/events?id=spar")
    console.browser.find_element(By.LINK_TEXT, "sparse").click()
    console.until(lambda: "SHA-256" in console.text)
    sparse = rows(console)

    assert early["agent.name"] == ["sent", '"Kim"', "string", "v1"]
    assert early["agent.team"] == ["backfilled", "null", "null", "v2"]
    assert early["score"] == ["backfilled", "null", "null", "v3"]
    assert sparse["score"] == ["sent", "null", "null", "v3"]
    assert sparse["vip"] == ["filled at ingest", "null", "null", "v2"]
    console.browser.find_element(By.PARTIAL_LINK_TEXT, "contact.created, version 3").click()
    console.until(lambda: "Filled with" in console.text)


@pytest.mark.slow
def test_events_are_filtered_by_type_version_and_time(console: Console, database: Db) -> None:
    for body in ({"id": "1"}, {"id": "2", "new": 1}, {"id": "3", "new": 2}):
        console.service.post({"type": "a", **body})
    console.service.post({"id": "4", "type": "b"})
    console.log_in()

    console.open("/events")
    every = listed(console)
    console.open("/events?type=a&version=2")
    second = listed(console)
    console.open("/events?type=a&to=2020-01-01T00:00")
    none = console.text

    assert every == ["4", "3", "2", "1"]
    assert second == ["3", "2"]
    assert "No event is stored that fits." in none


@pytest.mark.slow
def test_pages_of_events_lose_none_and_repeat_none(console: Console, database: Db) -> None:
    console.service.post({"id": "0", "type": "a"})
    model = database["events"].find_one({})
    assert model is not None
    # More than a page of one and the same time, as a batch leaves them.
    copies = [
        {**model, "_id": f"c{n}", "_meta": {**model["_meta"], "key": str(n)}} for n in range(1, 121)
    ]
    database["events"].insert_many(copies)
    console.log_in()
    console.open("/events?type=a")

    found = listed(console)
    for _ in range(2):
        older = console.browser.find_element(By.CSS_SELECTOR, "a[rel=next]")
        console.browser.get(older.get_attribute("href") or "")
        found += listed(console)

    assert sorted(map(int, found)) == list(range(121))
    assert not console.browser.find_elements(By.CSS_SELECTOR, "a[rel=next]")


@pytest.mark.slow
def test_fields_and_values_that_look_like_markup_are_text(console: Console) -> None:
    evil = "<script>window.broken = 1</script>"
    console.service.post({"id": evil, "type": evil, evil: evil, "l": [{evil: evil}], "_meta": evil})
    console.log_in()
    console.open("/events")
    assert listed(console) == [evil]

    console.browser.find_element(By.LINK_TEXT, evil).click()
    console.until(lambda: "SHA-256" in console.text)

    field = '"<script>window.broken = 1</script>"'
    assert rows(console)[field][1] == f'"{evil}"'
    assert "Kept aside" in console.text
    assert console.browser.execute_script("return window.broken") is None
    assert console.browser.find_elements(By.CSS_SELECTOR, "main script") == []


@pytest.mark.slow
def test_what_is_masked_is_masked_in_lists_and_on_the_page_of_an_event(
    browser: Chrome, mongod_uri: str, database: Db
) -> None:
    with opened(browser, mongod_uri, database, cxone_redact="id,agent.name") as console:
        console.service.post({"id": "Kim Doe", "type": "t", "agent": {"name": "Kim", "team": 7}})
        console.log_in()
        console.open("/events")
        listing = browser.page_source
        console.browser.find_element(By.LINK_TEXT, "********").click()
        console.until(lambda: "SHA-256" in console.text)

        assert rows(console)["agent.name"][1] == '"********"'
        assert rows(console)["agent.team"][1] == "7"
        assert "Kim" not in listing + browser.page_source

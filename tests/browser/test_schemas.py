"""Schemas in the browser: watch one change live, see payloads as text, approve what is held."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from tests.browser.conftest import opened
from tests.browser.console import Console

Db = Database[dict[str, Any]]
HOLD = '[subjects."contact.created"]\non_new_field = "hold"\n'


def test_a_new_field_appears_on_the_open_page_without_a_reload(console: Console) -> None:
    console.service.post({"id": "1", "type": "contact.created", "agent": {"name": "Kim"}})
    console.log_in()
    console.open("/schemas/subject?name=contact.created")
    assert "version 1" in console.text
    console.browser.execute_script("window.mark = 'not reloaded'")

    console.service.post({"id": "2", "type": "contact.created", "agent": {"team": 7}})
    console.until(lambda: "version 2" in console.text)

    row = console.browser.find_element(By.CSS_SELECTOR, 'th[title="agent.team"]')
    assert "new" in row.text
    assert console.browser.execute_script("return window.mark") == "not reloaded"


@pytest.mark.slow
def test_live_updates_can_be_paused(console: Console) -> None:
    console.service.post({"id": "1", "type": "t"})
    console.log_in()
    console.open("/schemas")
    button = console.browser.find_element(By.CSS_SELECTOR, "#pulse button")
    assert button.get_attribute("aria-pressed") == "true"

    button.click()
    console.service.post({"id": "2", "type": "another"})
    paused = console.browser.execute_async_script(
        "setTimeout(arguments[0], 6000, document.body.innerText)"
    )
    button.click()
    console.until(lambda: "another" in console.text)

    assert "another" not in paused


@pytest.mark.slow
def test_names_and_fields_that_look_like_markup_are_text(console: Console) -> None:
    evil = "<script>window.broken = 1</script>"
    attribute = '"><img src=x onerror=alert(1)>'
    console.service.post({"id": evil, "type": evil, evil: 1, attribute: {attribute: "x"}})
    console.log_in()

    for path in ("", "/schemas", "/adoption"):
        console.open(path)
        assert evil in console.text
        assert console.browser.execute_script("return window.broken") is None
    console.open("/schemas")
    console.browser.find_element(By.LINK_TEXT, evil).click()
    console.until(lambda: "Filled with" in console.text)

    assert console.browser.find_element(By.TAG_NAME, "h1").text == evil
    fields = console.browser.find_element(
        By.XPATH, "//table[contains(., 'Filled with')]/tbody"
    ).text
    assert evil in fields
    assert attribute.replace('"', '\\"') in fields
    assert console.browser.find_elements(By.CSS_SELECTOR, "main script, main img") == []


def test_a_held_change_is_shown_exactly_approved_and_written_down(
    browser: Chrome, mongod_uri: str, database: Db, tmp_path: Path
) -> None:
    rules = tmp_path / "hold.toml"
    rules.write_text(HOLD, "utf-8")
    with opened(browser, mongod_uri, database, cxone_config=str(rules)) as console:
        post = console.service.post
        assert post({"id": "1", "type": "contact.created"}).status == 200
        assert post({"id": "2", "type": "contact.created", "vip": True}).status == 202
        assert post({"id": "3", "type": "contact.created", "vip": False}).status == 202
        console.log_in("Grace")
        console.open("/schemas")
        console.browser.find_element(By.CSS_SELECTOR, "td .badge.warn").click()
        console.until(lambda: "Would become version 2" in console.text)
        assert "vip" in console.text
        assert "2 held deliveries would be processed" in console.text

        console.press("Approve and replay")

        said = console.browser.find_element(By.CSS_SELECTOR, "[role=status]").text
        assert said == "“contact.created” is at version 2. Replayed: 2 processed."
        assert database["events"].count_documents({"vip": {"$in": [True, False]}}) == 2
        assert database["dead_letter_queue"].count_documents({"status": "resolved"}) == 2
        console.open("/audit")
        assert "schema approve" in console.text
        assert "Grace (console)" in console.text


@pytest.mark.slow
def test_what_came_after_the_page_was_opened_is_not_approved_with_it(
    browser: Chrome, mongod_uri: str, database: Db, tmp_path: Path
) -> None:
    rules = tmp_path / "hold.toml"
    rules.write_text(HOLD, "utf-8")
    with opened(browser, mongod_uri, database, cxone_config=str(rules)) as console:
        console.service.post({"id": "1", "type": "contact.created"})
        console.service.post({"id": "2", "type": "contact.created", "vip": True})
        console.log_in()
        console.open("/schemas/held?name=contact.created")

        console.service.post({"id": "3", "type": "contact.created", "surprise": True})
        console.press("Approve and replay")

        assert "look again" in console.browser.find_element(By.CSS_SELECTOR, "[role=status]").text
        assert database["schema_versions"].count_documents({}) == 1
        assert database["audit"].count_documents({"what": "schema approve"}) == 0


@pytest.mark.slow
def test_versions_are_compared_and_their_causes_named(console: Console) -> None:
    console.service.post({"id": "first", "type": "t", "score": 1})
    console.service.post({"id": "second", "type": "t", "score": "high"})
    console.service.post({"id": "third", "type": "t", "score": 1, "note": "x"})
    console.log_in()

    console.open("/schemas/subject?name=t&tab=versions")
    timeline = console.browser.find_element(By.CSS_SELECTOR, ".timeline").text
    console.open("/schemas/subject?name=t&tab=compare&from=1&to=3")
    rows = [row.text for row in console.browser.find_elements(By.CSS_SELECTOR, "tbody tr")]

    assert timeline.index("Version 3") < timeline.index("Version 2") < timeline.index("Version 1")
    assert "type conflict score integer → integer | string" in timeline
    assert rows == [
        "type conflict score integer integer | string second",
        "new field note \u2013 string third",
    ]


@pytest.mark.slow
def test_what_does_not_exist_is_said_to_be_missing(console: Console) -> None:
    console.expect_complaint("404")
    console.log_in()

    console.open("/schemas/subject?name=nothing")

    assert "There is no schema “nothing”." in console.text

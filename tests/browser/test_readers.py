"""Readers in the browser: pin a program, see its view, unpin it."""

from __future__ import annotations

from selenium.webdriver.common.by import By

from tests.browser.console import Console


def test_a_program_is_pinned_and_unpinned(console: Console) -> None:
    console.service.post(
        {"id": "1", "type": "contact.created", "agent": {"name": "Kim"}, "open": None}
    )
    console.service.post({"id": "2", "type": "contact.created", "agent": {"name": 7}})
    console.log_in()
    console.open("/readers")
    assert "No program is pinned yet." in console.text

    console.field("Reader").send_keys("billing")
    console.field("Subject").send_keys("contact.created")
    console.field("Version").send_keys("1")
    console.field("Fields that it uses").send_keys("agent.name")
    # Version 2 breaks it already.
    console.browser.find_element(By.NAME, "broken").click()
    console.press("Pin")

    assert "reads version 1 in the view billing.contact.created" in console.text
    assert "Not shown: open" in console.text
    seen = {
        each["id"]: each["agent"] for each in console.database["billing.contact.created"].find()
    }
    assert seen == {"1": {"name": "Kim"}, "2": {"name": None}}
    (pin,) = console.database["readers"].find()
    assert (pin["uses"], pin["by"]) == ([["agent", "name"]], "Ada (console)")

    console.press("Unpin")

    assert "The view billing.contact.created is dropped." in console.text
    assert "billing.contact.created" not in console.database.list_collection_names()
    deeds = console.database["audit"].find({"what": {"$regex": "^schema"}})
    assert [(each["what"], each["who"], each["reader"]) for each in deeds] == [
        ("schema pin", "Ada (console)", "billing"),
        ("schema unpin", "Ada (console)", "billing"),
    ]


def test_what_cannot_be_pinned_is_told(console: Console) -> None:
    console.service.post({"id": "1", "type": "contact.created"})
    console.log_in()
    console.open("/readers?name=contact.created")
    console.field("Reader").send_keys("billing")
    console.field("Fields that it uses").send_keys("nowhere")

    console.expect_complaint("400")
    console.press("Pin")

    assert "Version 1 has no field nowhere." in console.text
    assert console.database["readers"].count_documents({}) == 0

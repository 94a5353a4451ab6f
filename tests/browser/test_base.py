"""The base of the console as a person meets it: login, navigation, and what must not run."""

from __future__ import annotations

import pytest
from selenium.webdriver.common.by import By

from tests.browser.console import Console


def test_a_wrong_password_is_told_and_the_right_one_leads_where_one_wanted_to_go(
    console: Console,
) -> None:
    console.expect_complaint("403")
    console.open("/jobs")
    assert console.path == "/login?next=%2Fconsole%2Fjobs"

    console.log_in(password="wrong")
    fault = console.browser.find_element(By.CSS_SELECTOR, "[role=alert]").text
    console.log_in("Ada")

    assert fault == "That is not the password."
    assert console.path == "/jobs"
    assert "Ada" in console.text


def test_every_screen_of_the_navigation_opens_and_says_where_one_is(console: Console) -> None:
    console.log_in()
    links = console.browser.find_elements(By.CSS_SELECTOR, ".side nav a")
    screens = {each.text: each.get_attribute("href") or "" for each in links}

    for name, href in screens.items():
        console.browser.get(href)
        assert console.browser.find_element(By.TAG_NAME, "h1").text == name
        current = console.browser.find_element(By.CSS_SELECTOR, "[aria-current=page]")
        assert current.text == name

    assert {"Overview", "Jobs", "Settings", "Audit"} <= screens.keys()


@pytest.mark.slow
def test_logging_out_shuts_the_door(console: Console) -> None:
    console.log_in()

    console.press("Log out")
    console.open("/audit")

    assert console.path.startswith("/login")


@pytest.mark.slow
def test_the_name_of_a_person_is_text_whatever_it_is(console: Console) -> None:
    console.log_in("<script>document.title='broken'</script>")

    console.open("/audit")

    assert "<script>document.title='broken'</script> (console)" in console.text
    assert console.browser.title == "Audit · CXone consumer"

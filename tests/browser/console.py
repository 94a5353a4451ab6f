"""A console in a browser, and the service behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from pymongo.database import Database
from selenium.common.exceptions import StaleElementReferenceException, WebDriverException
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from tests.support.service import Client

Document = dict[str, Any]
T = TypeVar("T")

PASSWORD = "a password for tests"


class Console:
    """`service` posts webhooks; `database` is what it writes to."""

    def __init__(self, browser: Chrome, service: Client, database: Database[Document]) -> None:
        self.browser = browser
        self.service = service
        self.database = database
        self._expected: list[str] = []

    def url(self, path: str = "") -> str:
        host, port = self.service.service.server.address
        return f"http://{host}:{port}/console{path}"

    def open(self, path: str = "") -> None:
        self.browser.get(self.url(path))

    def log_in(self, name: str = "Ada", password: str = PASSWORD) -> None:
        """Fill the login form and send it."""
        if "/login" not in self.browser.current_url:
            self.open("/login")
        self.field("Your name").clear()
        self.field("Your name").send_keys(name)
        self.field("Password").send_keys(password)
        self.press("Log in")

    def field(self, label: str) -> WebElement:
        """The field of a label, found as a person finds it: by the label's words."""
        for each in self.browser.find_elements(By.TAG_NAME, "label"):
            if each.text.startswith(label):
                return self.browser.find_element(By.ID, each.get_attribute("for") or "")
        raise AssertionError(f"no field labelled {label!r}")

    def press(self, text: str) -> None:
        """Press the button of these words, and wait for the page that follows."""
        before = self.browser.find_element(By.TAG_NAME, "html")
        for each in self.browser.find_elements(By.TAG_NAME, "button"):
            if each.text == text:
                each.click()
                self.until(lambda: _is_gone(before))
                return
        raise AssertionError(f"no button {text!r}")

    @property
    def text(self) -> str:
        return self.browser.find_element(By.TAG_NAME, "body").text

    @property
    def path(self) -> str:
        return self.browser.current_url.removeprefix(self.url())

    def until(self, condition: Callable[[], T], timeout: float = 15) -> T:
        """Wait for what the page shows a moment later."""

        def holds(_: Chrome) -> T:
            try:
                return condition()
            except StaleElementReferenceException:
                return condition()

        return WebDriverWait(self.browser, timeout, 0.05).until(holds)

    def expect_complaint(self, part: str) -> None:
        """The browser reports failed requests; this one is meant."""
        self._expected.append(part)

    def assert_no_complaints(self) -> None:
        complaints = [
            entry["message"]
            for entry in log_of(self.browser)
            if not any(part in entry["message"] for part in self._expected)
        ]
        assert not complaints, "\n".join(complaints)


def log_of(browser: Chrome) -> list[dict[str, Any]]:
    """The browser's log since the last call."""
    entries: list[dict[str, Any]] = browser.get_log("browser")  # type: ignore[no-untyped-call]
    return entries


def _is_gone(element: WebElement) -> bool:
    try:
        element.is_enabled()
    except StaleElementReferenceException:
        return True
    except WebDriverException as error:
        # What the driver says when the page goes while it looks.
        if "does not belong to the document" in (error.msg or ""):
            return True
        raise
    return False

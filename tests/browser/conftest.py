"""Drive the console in headless Chromium: `browser` is one for the session, `console` a service."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pymongo.database import Database
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service as Driver

from tests.browser.console import PASSWORD, Console, Document, log_of
from tests.support.service import running_service

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--window-size=1280,900",
)


@pytest.fixture(scope="session")
def browser() -> Iterator[Chrome]:
    """Chromium as Debian packages it. Without one: skipped here, a failure in CI."""
    program = next(filter(None, map(shutil.which, _BROWSERS)), None)
    driver = shutil.which("chromedriver")
    if program is None or driver is None:
        reason = "no browser: apt-get install chromium chromium-driver"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    with tempfile.TemporaryDirectory(
        prefix="cxone-browser-", ignore_cleanup_errors=True
    ) as profile:
        options = ChromeOptions()
        options.binary_location = program
        for flag in (*_FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        chrome = Chrome(options=options, service=Driver(driver))
        try:
            yield chrome
        finally:
            chrome.quit()


@pytest.fixture
def console(browser: Chrome, mongod_uri: str, database: Database[Document]) -> Iterator[Console]:
    """A running service with a console on an empty database, and the browser logged out of it.

    At the end the browser must not have complained: of a script, a style or an address that the
    content security policy refused, or of an error in ours.
    """
    with opened(browser, mongod_uri, database) as found:
        yield found


@contextmanager
def opened(
    browser: Chrome, uri: str, database: Database[Document], **settings: str
) -> Iterator[Console]:
    """The service under further settings (lower-case names)."""
    given = {"cxone_console_password": PASSWORD, **settings}
    with running_service(uri, database.name, **given) as client:
        # The page of the test before may still be looking for a service that has ended.
        browser.get("about:blank")
        log_of(browser)
        found = Console(browser, client, database)
        browser.get(found.url("/login"))
        browser.delete_all_cookies()
        yield found
        found.assert_no_complaints()

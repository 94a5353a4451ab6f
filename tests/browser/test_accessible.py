"""Every screen for people who do not see it as others do: labels, headings, contrast, phones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.by import By

from consumer.console.routes import SCREENS
from tests.browser.console import Console

# What screens of one thing must be told to show something.
_NAME, _EVENT, _LETTER = "?name=contact.created", "?id={event}", "?id={letter}"
_QUERIES = {
    "/schemas/subject": _NAME,
    "/schemas/held": _NAME,
    "/events/one": _EVENT,
    "/dead-letters/one": _LETTER,
    "/dead-letters/edit": _LETTER,
}

# The faults of a page, as texts. Relative luminance and contrast by WCAG 2.2, 1.4.3.
_FAULTS = """
const faults = [];
const say = (what, each) => faults.push(what + ': ' + each.outerHTML.slice(0, 160));
const shown = (each) => each.getClientRects().length > 0;
const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
  .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
  .reduce((sum, v, n) => sum + v * [0.2126, 0.7152, 0.0722][n], 0);
const back = (each) => {
  for (let at = each; at; at = at.parentElement) {
    const colour = rgb(getComputedStyle(at).backgroundColor);
    if (colour.length < 4 || colour[3] === 1) return colour;
  }
  return [255, 255, 255];
};
for (const each of document.querySelectorAll('input:not([type=hidden]), select, textarea'))
  if (!each.labels.length && !each.ariaLabel) say('no label', each);
for (const each of document.querySelectorAll('a, button'))
  if (shown(each) && !each.textContent.trim() && !each.ariaLabel) say('no name', each);
for (const each of document.querySelectorAll('svg'))
  if (!each.ariaHidden && !(each.getAttribute('role') === 'img' && each.ariaLabel))
    say('picture without a text', each);
for (const each of document.querySelectorAll('table')) {
  if (!each.caption) say('table without a caption', each);
  if (each.querySelector('thead th:not([scope])')) say('column without a scope', each);
}
const ids = [...document.querySelectorAll('[id]')].map((each) => each.id);
if (new Set(ids).size !== ids.length) faults.push('an id twice');
if (document.querySelectorAll('h1').length !== 1) faults.push('not one h1');
let level = 1;
for (const each of document.querySelectorAll('h1, h2, h3')) {
  const own = Number(each.tagName[1]);
  if (own > level + 1) say('a level of headings is left out', each);
  level = own;
}
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const each = walker.currentNode.parentElement;
  if (!walker.currentNode.data.trim() || !shown(each) || each.closest('.unseen, .skip, title'))
    continue;
  const style = getComputedStyle(each);
  const ink = rgb(each.closest('svg') ? style.fill : style.color);
  const [high, low] = [light(ink), light(back(each))].sort((a, b) => b - a);
  const ratio = (high + 0.05) / (low + 0.05);
  const size = parseFloat(style.fontSize);
  const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
  if (ratio < (large ? 3 : 4.5)) say('contrast ' + ratio.toFixed(2), each);
}
return faults;
"""

# axe-core 4.14.1 as npm has it, under the MPL 2.0 (LICENSE beside it); for tests alone.
_AXE = Path(__file__).with_name("axe").joinpath("axe.min.js").read_text(encoding="utf-8")
_RUN_AXE = """
const [colours, done] = arguments;
const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
const runOnly = colours ? ['color-contrast'] : tags;
axe.run({ runOnly, resultTypes: ['violations'] }).then((found) => done(
  found.violations.flatMap((each) => each.nodes.map((node) => each.id + ': ' + node.html))),
  (error) => done([String(error)]));
"""


def paths(console: Console) -> list[str]:
    """Every screen; those without a template are downloads."""
    event, letter = (console.database[name].find_one() for name in ("events", "dead_letter_queue"))
    assert event is not None
    assert letter is not None
    found = [screen.path + _QUERIES.get(screen.path, "") for screen in SCREENS if screen.template]
    return [path.format(event=event["_id"], letter=letter["_id"]) for path in found]


def with_something_to_see(console: Console) -> None:
    console.service.post({"id": "1", "type": "contact.created", "agent": {"name": "Kim"}})
    console.service.post({"id": "2", "type": "contact.created", "agent": {"team": 7}, "tags": [1]})
    console.service.post(b'{"id":')
    console.log_in()
    console.press("Log out")
    console.log_in()


def emulate(console: Console, scheme: str, width: int) -> None:
    # Else colours are on their way from one scheme to the other when they are looked at.
    wanted = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
    features = [{"name": name, "value": value} for name, value in wanted.items()]
    console.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    metrics: dict[str, Any] = {
        "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600,
    }  # fmt: skip
    console.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def faults_of(console: Console, path: str) -> list[str]:
    """The faults of a page at every width, light and dark."""
    found: list[str] = []
    for width in (1280, 390, 1920):
        emulate(console, "light", width)
        console.open(path)
        console.browser.execute_script(_AXE)
        for scheme in ("light", "dark"):
            emulate(console, scheme, width)
            faults = console.browser.execute_script(_FAULTS)
            # What a scheme changes is the contrast; all else depends on the width alone.
            faults += console.browser.execute_async_script(_RUN_AXE, scheme == "dark")
            if console.browser.execute_script(
                "return document.documentElement.scrollWidth > innerWidth"
            ):
                faults.append("wider than the window")
            found += [f"{scheme} {width}: {fault}" for fault in faults]
    return found


@pytest.mark.parametrize("half", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_every_screen_is_labelled_readable_and_fits_light_and_dark_at_every_width(
    console: Console, half: int
) -> None:
    console.expect_complaint("404")
    with_something_to_see(console)
    try:
        faults = {path: faults_of(console, path) for path in [*paths(console), "/nothing"][half::2]}
    finally:
        console.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        console.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})

    assert {path: found for path, found in faults.items() if found} == {}


def test_everything_is_reached_and_used_without_javascript(console: Console) -> None:
    console.browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    find = console.browser.find_element
    try:
        console.service.post({"id": "1", "type": "contact.created"})
        console.service.post(b'{"type":"contact.created"}')
        console.log_in()
        console.open("/schemas?q=contact&sort=changed")
        assert "contact.created" in console.text
        console.open("/schemas/subject?name=contact.created&tab=compare&from=0&to=1")
        assert "new field" in console.text
        find(By.LINK_TEXT, "Events").click()
        find(By.CSS_SELECTOR, "main tbody a").click()
        assert "SHA-256 of its body" in console.text
        letters = console.database["dead_letter_queue"]
        # It came right, as by another setting.
        whole = b'{"id":"2","type":"contact.created"}'
        letters.update_one({}, {"$set": {"original_payload": whole}})
        find(By.LINK_TEXT, "Dead letters").click()
        find(By.CSS_SELECTOR, "main tbody td input[type=checkbox]").click()
        console.press("Retry…")
        console.press("Retry 1")
        assert "1 of 1 done" in console.text or "Retried 1" in console.text
        assert letters.count_documents({"status": "resolved"}) == 1
        console.press("Log out")
        assert console.path.startswith("/login")
    finally:
        console.browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


_PLACES = """
const at = (query) => document.querySelector(query)?.getBoundingClientRect();
const seen = (box) => box && box.left >= 0 && box.right <= innerWidth;
const card = at('.alone .card');
const scroll = document.querySelector('.picture .scroll');
const table = document.querySelector('main .scroll') ?? document.body;
return {
  off: card && Math.abs(card.left + card.right - innerWidth)
    + Math.abs(card.top + card.bottom - innerHeight),
  tab: seen(at('.side [aria-current]')),
  newest: scroll && scroll.scrollWidth > scroll.clientWidth && seen(at('.strips rect:last-child')),
  shade: getComputedStyle(table).backgroundAttachment,
};
"""


def test_on_a_phone_the_newest_and_the_tab_are_in_view_and_the_login_is_in_the_middle(
    console: Console,
) -> None:
    def places(path: str) -> dict[str, Any]:
        console.open(path)
        found: dict[str, Any] = console.browser.execute_script(_PLACES)
        return found

    emulate(console, "light", 1280)
    try:
        assert places("/login")["off"] <= 2
        emulate(console, "light", 390)
        assert places("/login")["off"] <= 2
        console.service.post({"id": "1", "type": "contact.created"})
        console.log_in()
        assert places("/adoption")["newest"]
        audit = places("/audit")
    finally:
        console.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        console.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})

    assert audit["tab"]
    assert audit["shade"] == "local, local, scroll, scroll"


@pytest.mark.slow
def test_the_first_tab_stop_skips_the_navigation(console: Console) -> None:
    console.log_in()

    first = console.browser.execute_script(
        "const all = document.querySelectorAll('a, button, input, [tabindex]');"
        "return all[0].getAttribute('href')"
    )

    assert first == "#main"
    assert console.browser.execute_script("return document.querySelector('#main') !== null")

"""Pages are ready to be made when the service is ready."""

from __future__ import annotations

import contextlib
from importlib.resources import files
from typing import Any

import pytest
from jinja2 import Environment, UndefinedError

from consumer.console.templating import Assets, Templates, dotted

TEMPLATES = [each.name for each in files("consumer.console").joinpath("templates").iterdir()]


def test_no_template_is_compiled_while_webhooks_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = Templates(Assets())
    compiled: list[Any] = []
    compile_ = Environment.compile

    def noted(self: Environment, *arguments: Any, **named: Any) -> Any:
        compiled.append(arguments[1])
        return compile_(self, *arguments, **named)

    monkeypatch.setattr(Environment, "compile", noted)
    for name in TEMPLATES:
        with contextlib.suppress(UndefinedError):
            pages.render(name, {})

    assert "overview.html" in TEMPLATES
    assert compiled == []


def test_a_name_breaks_at_its_dots_and_stays_text() -> None:
    assert dotted("contact.created") == "contact.<wbr>created"
    assert dotted("<b>.x") == "&lt;b&gt;.<wbr>x"
    assert str(dotted("a" * 70)).count("<wbr>") == 2
    assert len(str(dotted("." * 5000))) < 7000

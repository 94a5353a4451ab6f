"""Render pages: one Jinja environment that escapes every value, and the forms of values."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime, timezone
from importlib.resources import files
from pathlib import PurePosixPath
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from jinja2.filters import do_urlencode
from markupsafe import Markup, escape

from consumer.console.wording import change_text, kind_words, types_text
from consumer.core import text
from consumer.core.paths import to_text
from consumer.dead_letters.editing import sides

_PACKAGE = "consumer.console"
# Characters of a value on a page.
_MOST_VALUE = 1000
# Where a name may break: behind a dot, and in a part as long as a line.
_PLACES = re.compile(r"\.|[^.]{32}")
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


class Assets:
    """The files of `static/`, in memory, each with an address that changes with its bytes."""

    def __init__(self) -> None:
        self._bodies = {
            each.name: each.read_bytes()
            for each in files(_PACKAGE).joinpath("static").iterdir()
            if PurePosixPath(each.name).suffix in _TYPES
        }

    def body(self, name: str) -> bytes | None:
        return self._bodies.get(name)

    def content_type(self, name: str) -> str:
        return _TYPES[PurePosixPath(name).suffix]

    def url(self, name: str) -> str:
        digest = hashlib.sha256(self._bodies[name]).hexdigest()[:12]
        return f"/console/static/{name}?v={digest}"


class Templates:
    """Templates of this package; a value that a template asks for and lacks is a fault of ours."""

    def __init__(self, assets: Assets) -> None:
        self._environment = Environment(
            loader=PackageLoader(_PACKAGE),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
            finalize=bounded,
        )
        self._environment.filters.update(
            number=number,
            percent=percent,
            duration=text.duration,
            size=text.size,
            stamp=stamp,
            milliseconds=milliseconds,
            change=change_text,
            kind=kind_words,
            path=to_text,
            dotted=dotted,
            sides=sides,
            types=types_text,
            whole=Whole,
            urlencode=lambda value: Whole(do_urlencode(str(value)[:_MOST_VALUE])),
        )
        self._environment.globals["asset"] = assets.url
        # Here rather than imported by each template: blocks see nothing of what theirs imports.
        self._environment.globals["m"] = self._environment.get_template("macros.html").module
        # Now, rather than for the first reader of each screen while webhooks wait.
        for name in self._environment.list_templates(extensions=("html",)):
            self._environment.get_template(name)

    def render(self, template: str, values: Mapping[str, Any]) -> str:
        return self._environment.get_template(template).render(values)


class Whole(str):
    """Text that a page shows whole, however long: bounded where it is made."""

    __slots__ = ()


def bounded(value: Any) -> Any:
    """Bound what a page shows of any other text: a value can be as long as a delivery, and a page
    has many."""
    if (
        isinstance(value, str)
        and len(value) > _MOST_VALUE
        and not isinstance(value, Markup | Whole)
    ):
        return f"{value[:_MOST_VALUE]}\u2026"
    return value


def dotted(name: object) -> Markup:
    """A name that breaks at its dots, and within a part only where that is very long."""
    marked = _PLACES.sub("\\g<0>\0", str(bounded(str(name))).replace("\0", ""))
    return escape(marked).replace("\0", Markup("<wbr>"))


def number(value: float | None) -> str:
    """1,234 or 1.5; a dash for None."""
    return "\u2013" if value is None else f"{value:,}"


def percent(value: float | None) -> str:
    """Cut, not rounded: 99.96 % is not done yet."""
    return "\u2013" if value is None else f"{int(value * 10) / 10:.1f}\u202f%"


def milliseconds(seconds: float | None) -> str:
    """12 ms, or 3.4 ms below ten; a dash for None."""
    if seconds is None:
        return "\u2013"
    value = seconds * 1000
    return f"{value:,.0f}\u202fms" if value >= 10 else f"{value:.1f}\u202fms"


def stamp(at: datetime) -> str:
    """A time in UTC, to the second."""
    return f"{at.astimezone(timezone.utc):%Y-%m-%d %H:%M:%S} UTC"

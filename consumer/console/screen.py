"""One row of the table of screens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from consumer.console.answers import Done, Download
from consumer.console.context import Parts
from consumer.console.request import Request

Values = dict[str, Any]

# A form of buttons and short texts; a screen that takes more says so.
FORM_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Screen:
    """`path` is what follows /console. `nav` is its title in the navigation, or empty; `under` the
    path of the screen that is lit there instead of it. `template` is empty where it only downloads.
    """

    path: str
    title: str
    template: str
    show: Callable[[Parts, Request], Values | Download]
    act: Callable[[Parts, Request], Done | Values] | None = None
    nav: str = ""
    under: str = ""
    form_bytes: int = FORM_BYTES

    @property
    def lit(self) -> str:
        return self.under or self.path

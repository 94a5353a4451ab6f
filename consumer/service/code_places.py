"""Find where this program's code is, and whether a service account could read it."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import consumer

# What ProtectHome= hides.
HIDDEN = (Path("/home"), Path("/root"), Path("/run/user"))


def of_this_program() -> tuple[Path, ...]:
    """The environment, the interpreter it is made from, and the package itself."""
    package = Path(consumer.__file__).resolve().parent.parent
    # An editable installation has its code elsewhere; an installed one within its environment.
    places = [Path(sys.prefix), Path(sys.base_prefix), package]
    return tuple(
        place
        for index, place in enumerate(places)
        if not any(place.is_relative_to(other) for other in places[:index])
    )


def within(places: Iterable[Path], folders: Iterable[Path]) -> tuple[Path, ...]:
    """Those of `places` that lie in one of `folders`."""
    folders = tuple(folders)
    return tuple(place for place in places if any(place.is_relative_to(one) for one in folders))

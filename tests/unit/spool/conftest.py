"""Give tests a spool that they may open anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from consumer.spool.spool import Spool
from tests.support.spool import MIB


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def reopened(path: Path) -> Iterator[Callable[..., Spool]]:
    """Opens the spool in `path` anew, as after a kill -9: what was open before is not closed."""
    with ExitStack() as opened:

        def open_(max_bytes: int = 64 * MIB, **options: Any) -> Spool:
            # A busy disk is no fault: a test that wants one says so.
            options = {"timeout": 60.0, **options}
            return opened.enter_context(closing(Spool(path, max_bytes, **options)))

        yield open_

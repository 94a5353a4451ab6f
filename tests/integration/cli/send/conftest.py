"""Give tests of `send` a receiver, and settings that are theirs alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.senders import Receiver, receiving
from tests.support.service import SECRET


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    with receiving(receiver):
        yield receiver


@pytest.fixture(autouse=True)
def _settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty directory, without a .env, and a secret in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CXONE_SHARED_SECRET", SECRET)

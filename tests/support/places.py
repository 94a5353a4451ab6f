"""Places in the repository, wherever a test stands."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
PAYLOADS = ROOT / "tests" / "payloads"

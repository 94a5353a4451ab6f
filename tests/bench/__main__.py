"""`python -m tests.bench` measures throughput."""

from __future__ import annotations

from tests.bench.throughput import main

main()

"""A process that does nothing but sweep: `python -m tests.faults.sweep_worker URI DATABASE`."""

from __future__ import annotations

import sys
import time
from typing import Any

from pymongo import MongoClient

from config import logs
from tests.support.dead_letters import bench


def main(uri: str, name: str) -> None:
    logs.configure("error", "console", sys.stderr)
    with MongoClient[dict[str, Any]](uri, tz_aware=True) as client:
        here = bench(uri, client[name], cxone_on_new_field="hold")
        while True:
            here.sweep()
            time.sleep(0.05)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Keep the memory of a program that runs for months level, and its cycle collector calm."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import sys

# Without a store of freed pieces in each thread, which keeps their neighbours from being joined:
# in 86,000 mixed deliveries memory grew by 9 MB with them and by 2 MB so, at the same speed.
_TUNABLES = "glibc.malloc.tcache_count=0:glibc.malloc.arena_max=1"


def level_allocator() -> None:
    """Begin this program again, in the same process, with the allocator set; call it before all
    else. Nothing happens where somebody has set it, or where the C library is not glibc."""
    if sys.platform != "linux" or not sys.executable or "GLIBC_TUNABLES" in os.environ:
        return
    try:
        os.confstr("CS_GNU_LIBC_VERSION")
    except (OSError, ValueError):
        return
    # The library reads it at the start of a program only.
    os.environ["GLIBC_TUNABLES"] = _TUNABLES
    # A service that grows is better than none.
    with contextlib.suppress(OSError):
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - our own words


def spare_rich() -> None:
    """Have structlog do without rich, which it imports wherever that is there, with pygments behind
    it, for tracebacks that our log writes otherwise: 4 MB, and a tenth of the start. Call it before
    anything imports structlog; rich can be imported afterwards."""
    if not {"rich", "structlog"} & sys.modules.keys():
        # The import system's word for what is not there.
        sys.modules["rich"] = None  # type: ignore[assignment]
        importlib.import_module("structlog")
        del sys.modules["rich"]


# Objects that outlive their making before the collector looks, and how many looks make a deeper
# one. A delivery leaves no cycles behind; Python's defaults spent an eighth of its time on looking.
_THRESHOLDS = (20_000, 20, 50)
# A start makes fewer that are not gone again, and keeps nearly all of them.
_START = 300_000


def hold_collector() -> None:
    """Have the collector look at nothing while the program starts, until `calm_collector`: looking
    took a tenth of the imports' time. Call it before all else."""
    gc.set_threshold(_START)


def calm_collector() -> None:
    """Have the collector look rarely, and never at what is there now: call it once all parts are
    made."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)

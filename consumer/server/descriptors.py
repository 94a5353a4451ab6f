"""How many connections the operating system lets this process hold."""

from __future__ import annotations

import sys

# What a process opens beside its connections and those of its threads to MongoDB.
_RESERVED = 128
# On Windows `select` takes 512 sockets, ours and the listening one among them.
_WINDOWS = 500
_FEWEST = 16


def connections_within(wanted: int, threads: int) -> int:
    """At most `wanted`; the limit of open files is raised as far as that needs and is allowed."""
    if sys.platform == "win32":
        return min(wanted, _WINDOWS)
    # Only there on POSIX.
    import resource  # noqa: PLC0415

    reserved = _RESERVED + threads
    needed = wanted + reserved
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY:
        return wanted
    return max(_FEWEST, min(wanted, soft - reserved))

"""Examine this machine: the data directory, its free space, and the address to listen on."""

from __future__ import annotations

import errno
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import urllib3

from consumer.core.data_dir import owner_of
from consumer.doctor.check import Check, Target

_MIB = 1 << 20
# Below this a start of the embedded MongoDB may already fail.
_MIN_FREE = 64 * _MIB
_GOOD_FREE = 1024 * _MIB


def data_directory(target: Target) -> Iterator[Check]:
    """Writable, or else to be made in a directory that is; nothing of it is left."""
    path = target.settings.cxone_data_dir.absolute()
    name = "data directory"
    there = next((place for place in (path, *path.parents) if place.exists()), path)
    advice = "change its owner, or set CXONE_DATA_DIR"
    if not there.is_dir():
        yield Check(name, "fail", f"{there} is not a directory", "set CXONE_DATA_DIR")
        return
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        yield Check(name, "fail", f"cannot write in {there} ({error.strerror})", advice)
        return
    if there != path:
        state = "will be made at the first start"
    else:
        state = "in use: the service is running" if owner_of(path) else "writable"
    yield Check(name, "ok", f"{path}: {state}")
    yield free_space(there, shutil.disk_usage(there).free)


def free_space(path: Path, free: int) -> Check:
    """Judge `free` bytes at `path`: enough for a while?"""
    name, finding = "free space", f"{free // _MIB:,} MiB at {path}"
    advice = "make room, or move CXONE_DATA_DIR"
    if free < _MIN_FREE:
        return Check(name, "fail", finding, advice)
    if free < _GOOD_FREE:
        return Check(name, "warn", f"{finding}, less than {_GOOD_FREE // _MIB:,} MiB", advice)
    return Check(name, "ok", finding)


def listening(target: Target) -> Iterator[Check]:
    """The address is free, or this service already answers there."""
    host, _, text = target.settings.cxone_listen.rpartition(":")
    yield listen_at(host.strip("[]"), int(text), target.timeout)


def listen_at(host: str, port: int, timeout: float) -> Check:
    """Judge whether a service could listen there, by binding for a moment."""
    name, where = "listen address", f"{f'[{host}]' if ':' in host else host}:{port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            # As the service does: on Windows the option would let two share the port.
            if hasattr(socket, "SO_EXCLUSIVEADDRUSE"):
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
            else:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return _taken(name, where, host, port, timeout)
        advice = "set CXONE_LISTEN to an address of this machine and a port above 1023"
        return Check(name, "fail", f"{where}: {error.strerror}", advice)
    return Check(name, "ok", f"{where} is free: no service runs there yet")


def _taken(name: str, where: str, host: str, port: int, timeout: float) -> Check:
    # A service that listens everywhere answers on loopback too.
    local = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    url = f"http://{f'[{local}]' if ':' in local else local}:{port}/healthz"
    try:
        with urllib3.PoolManager(timeout=timeout, retries=False) as pool:
            reply = pool.request("GET", url, redirect=False, preload_content=False)
            body = reply.read(100)
            reply.close()
    except urllib3.exceptions.HTTPError:
        body = b""
    if body == b'{"status":"ok"}':
        return Check(name, "ok", f"{where}: the service runs there")
    return Check(
        name,
        "fail",
        f"{where} is taken by another program",
        "stop that program, or set CXONE_LISTEN to another port",
    )

"""A disk that loses power: what was not synced is there, gone or torn, as chance has it."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from consumer.spool.files import Appender, Files

SECTOR = 64  # smaller than any disk's, so that small records are torn too


@dataclass(frozen=True, slots=True)
class Op:
    """Something that was done to the disk, or (`mark`) that the test wants to remember then."""

    kind: str
    path: Path = Path()
    at: int = 0
    data: bytes = b""
    mark: Any = None


class RecordingDisk(Files):
    """Files whose every change is logged in the order of its completion; nothing is synced."""

    def __init__(self) -> None:
        self.log: list[Op] = []
        self._lock = threading.Lock()

    def found(self, files: dict[Path, bytes]) -> None:
        """Begin with these files, all durable: what a disk was found with after its power came
        back."""
        for path, content in files.items():
            path.write_bytes(content)
            self.log += [Op("create", path), Op("write", path, 0, content), Op("sync", path)]
        self.log += [Op("sync_directory", parent) for parent in {path.parent for path in files}]

    def mark(self, mark: Any) -> None:
        self._done(lambda: None, Op("mark", mark=mark))

    def make_directory(self, path: Path) -> None:
        # The directories themselves are taken to be there.
        path.mkdir(parents=True, exist_ok=True)

    def create(self, path: Path) -> Appender:
        with self._lock:
            appender = super().create(path)
            self.log.append(Op("create", path))
        return _RecordingAppender(self, path, appender)

    def replace(self, path: Path, content: bytes) -> None:
        self._done(lambda: super(RecordingDisk, self).replace(path, content),
                   Op("replace", path, data=content))  # fmt: skip

    def rename(self, path: Path, target: Path) -> None:
        self._done(lambda: super(RecordingDisk, self).rename(path, target),
                   Op("rename", path, mark=target))  # fmt: skip

    def remove(self, path: Path) -> None:
        self._done(lambda: super(RecordingDisk, self).remove(path), Op("remove", path))

    def sync_directory(self, path: Path) -> None:
        self._done(lambda: None, Op("sync_directory", path))

    def _done(self, change: Callable[[], None], op: Op) -> None:
        with self._lock:
            change()
            self.log.append(op)


class _RecordingAppender:
    def __init__(self, disk: RecordingDisk, path: Path, inner: Appender) -> None:
        self._disk = disk
        self._path = path
        self._inner = inner
        self._length = 0
        self.close = inner.close

    def write(self, data: bytes) -> None:
        op = Op("write", self._path, self._length, data)
        self._length += len(data)
        self._disk._done(lambda: self._inner.write(data), op)

    def sync(self) -> None:
        self._disk._done(lambda: None, Op("sync", self._path))

    def truncate(self, length: int) -> None:
        self._length = length
        self._disk._done(lambda: self._inner.truncate(length), Op("truncate", self._path, length))


@dataclass(slots=True)
class _Inode:
    """`durable` is on the disk for certain; `pending` may be."""

    durable: bytearray = field(default_factory=bytearray)
    pending: list[Op] = field(default_factory=list)

    def settle(self, chance: random.Random | None) -> None:
        """Apply what is pending: all of it, or what chance lets survive."""
        for op in self.pending:
            if chance is None:
                _apply(self.durable, op)
                continue
            fate = chance.random()
            if fate < 0.3:
                _apply(self.durable, op)
            elif fate < 0.5:
                _apply(self.durable, _torn(op, chance))
            elif fate < 0.8 and op.kind == "write":
                # Sector by sector: written, not written, or with what was on the disk before.
                for sector in _sectors(op):
                    luck = chance.random()
                    if luck < 0.5:
                        _apply(self.durable, sector)
                    elif luck < 0.6:
                        _apply(self.durable, replace(sector, data=chance.randbytes(SECTOR)))
        self.pending = []


class PowerLoss:
    """The disk as it may be found after power was lost at some point of a log."""

    def __init__(self, log: list[Op]) -> None:
        # Names as they are now, names that are certain, and every change of names since then.
        self._names: dict[Path, _Inode] = {}
        self._durable: dict[Path, _Inode] = {}
        self._pending: list[tuple[Path, _Inode | None]] = []
        for op in log:
            self._play(op)

    def survivors(self, chance: random.Random) -> dict[Path, bytes]:
        """Files and their content, drawn by chance from what is possible; call it once."""
        names = dict(self._durable)
        for path, inode in self._pending:
            if chance.random() < 0.5:
                _rename(names, path, inode)
        for inode in {id(one): one for one in names.values()}.values():
            inode.settle(chance)
        return {path: bytes(inode.durable) for path, inode in names.items()}

    def _play(self, op: Op) -> None:
        if op.kind == "create":
            self._name(op.path, _Inode())
        elif op.kind == "remove":
            self._name(op.path, None)
        elif op.kind == "rename":
            self._name(op.mark, self._names[op.path])
            self._name(op.path, None)
        elif op.kind == "replace":
            self._name(op.path, _Inode(pending=[Op("write", op.path, 0, op.data)]))
        elif op.kind in ("write", "truncate"):
            self._names[op.path].pending.append(op)
        elif op.kind == "sync":
            self._names[op.path].settle(None)
        elif op.kind == "sync_directory":
            mine = [change for change in self._pending if change[0].parent == op.path]
            for path, inode in mine:
                _rename(self._durable, path, inode)
            self._pending = [change for change in self._pending if change not in mine]

    def _name(self, path: Path, inode: _Inode | None) -> None:
        if inode is None and path not in self._names:
            return
        _rename(self._names, path, inode)
        self._pending.append((path, inode))


def _rename(names: dict[Path, _Inode], path: Path, inode: _Inode | None) -> None:
    if inode is None:
        names.pop(path, None)
    else:
        names[path] = inode


def _apply(content: bytearray, op: Op) -> None:
    if op.kind == "truncate":
        del content[op.at :]
        return
    content.extend(b"\0" * (op.at - len(content)))
    content[op.at : op.at + len(op.data)] = op.data


def _torn(op: Op, chance: random.Random) -> Op:
    cut = chance.randint(0, len(op.data))
    return Op(op.kind, op.path, op.at, op.data[:cut])


def _sectors(op: Op) -> list[Op]:
    return [
        Op("write", op.path, op.at + start, op.data[start : start + SECTOR])
        for start in range(0, len(op.data), SECTOR)
    ]

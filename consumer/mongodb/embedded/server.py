"""One mongod on one data directory: its files, its options, and what can be asked of it."""

from __future__ import annotations

import contextlib
import sys
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from consumer.core.errors import SetupError
from consumer.mongodb.embedded import binary, key, log, port, process, replica_set


class Server:
    """Holds where the files are, the port in use and the process id last seen (0: none yet)."""

    def __init__(self, data_dir: Path, cache_gb: float | None, mongod: Path | None = None) -> None:
        self.directory = data_dir
        self.dbpath = data_dir / replica_set.DBPATH
        self.log = data_dir / "mongodb.log"
        self._output = data_dir / "mongodb.out"
        self._port_file = data_dir / port.FILE
        self._cache_gb = cache_gb
        self._log_began = 0
        self._mongod = mongod
        self.port = 0
        self.pid = 0

    def uri(self) -> str:
        """The URI for clients, with user and password."""
        return replica_set.uri(self.port, key.recall(self.directory))

    def last_port(self) -> int | None:
        return port.recall(self._port_file)

    def launch(self, at: int) -> process.Child:
        """Start mongod on port `at`, from the thread that will mind it. Raises SetupError."""
        self.port = at
        # Searched for only now: an adopted one needs no binary before it has to be restarted.
        self._mongod = self._mongod or binary.locate(binary.candidates())
        try:
            return self._start(self._mongod)
        except OSError as error:
            raise SetupError(
                f"the embedded MongoDB cannot be started in {self.directory}"
                f" ({error.strerror or error}): let this program write there, or choose another"
                " data directory (CXONE_DATA_DIR)"
            ) from error

    def _start(self, mongod: Path) -> process.Child:
        self.dbpath.mkdir(mode=0o700, parents=True, exist_ok=True)
        log.rotate_at_start(self.log)
        self._log_began = log.size(self.log)
        secret = key.ensure(self.directory)
        port.remember(self._port_file, self.port)
        command = self._command(mongod, secret)
        return process.spawn(command, directory=self.directory, output=self._output)

    def _command(self, mongod: Path, secret: Path) -> list[str]:
        command = [str(mongod), "--dbpath", str(self.dbpath), "--port", str(self.port)]
        command += ["--bind_ip", "127.0.0.1", "--networkMessageCompressors", "disabled"]
        # Small: nobody else reads this oplog.
        command += ["--replSet", replica_set.NAME, "--oplogSize", "256"]
        # Every account of this machine reaches the port: who has not the key may do nothing, from
        # the first start on.
        command += ["--keyFile", str(secret)]
        command += ["--setParameter", "enableLocalhostAuthBypass=false"]
        if self._cache_gb is not None:
            command += ["--wiredTigerCacheSizeGB", f"{self._cache_gb:g}"]
        # Its statistics files would take up to 200 MB.
        command += ["--setParameter", "diagnosticDataCollectionEnabled=false"]
        # Lines about slow operations quote them, and with them values of payloads.
        command += ["--slowOpSampleRate", "0"]
        command += ["--logpath", str(self.log), "--logappend", "--quiet"]
        if sys.platform != "win32":
            command += ["--nounixsocket"]
        return command

    def find_orphan(self, wanted_port: int | None) -> process.Child | None:
        """A mongod on our files that outlived an earlier run, now bound to our life; else None.

        It is known by what it says of itself, so a number that now means something else cannot
        mislead us. One on another port than `wanted_port` is stopped in good order instead, and
        one that asks for no key, and any on Windows, where none can be adopted.
        """
        last = self.last_port()
        if last is None or not replica_set.listens(last):
            return None
        # Asked without the key last: a mongod that an older program started does not know it.
        for secret in dict.fromkeys((key.recall(self.directory), None)):
            with (
                contextlib.suppress(PyMongoError),
                replica_set.direct(last, secret) as client,
            ):
                pid, dbpath = replica_set.identify(client)
                if dbpath != self.dbpath:
                    return None
                if secret and sys.platform != "win32" and wanted_port in {None, last}:
                    self.port, self.pid = last, pid
                    self._log_began = log.size(self.log)
                    return process.adopt(pid, directory=self.directory, output=self._output)
                with contextlib.suppress(PyMongoError):
                    client.admin.command("shutdown", 1, force=True, timeoutSecs=0)
                _await_silence(last)
                return None
        return None

    def is_primary(self) -> bool:
        """Take it one step further; True once it is ours and writable, and then `pid` is known."""
        secret = key.recall(self.directory)
        if secret is None or not replica_set.listens(self.port):
            return False
        with contextlib.suppress(PyMongoError), replica_set.direct(self.port, secret) as client:
            pid, dbpath = replica_set.identify(client)
            # A stranger on our port must be left alone; ours will end and say that it is taken.
            if dbpath == self.dbpath and replica_set.advance(client, self.port, secret):
                self.pid = pid
                return True
        return False

    def request_shutdown(self) -> None:
        """Ask it to end in good order; whether it does shows in its process."""
        with contextlib.suppress(PyMongoError), self._direct() as client:
            client.admin.command("shutdown", 1, force=True, timeoutSecs=0)

    def bound_log(self) -> None:
        """Begin a new log when it is too long: mongod renames the old one with a date."""
        if log.size(self.log) > log.LIMIT:
            with contextlib.suppress(PyMongoError, OSError), self._direct() as client:
                client.admin.command("logRotate", 1)
                self._log_began = 0
                log.prune(self.log)

    def _direct(self) -> AbstractContextManager[MongoClient[dict[str, Any]]]:
        return replica_set.direct(self.port, key.recall(self.directory))

    def faults(self) -> str:
        """Errors that the mongod started last says of itself."""
        return log.faults(self.log, self._output, self._log_began)


def _await_silence(at: int) -> None:
    """Until nothing listens on `at` any more, at most 15 seconds."""
    deadline = time.monotonic() + 15
    while replica_set.listens(at) and time.monotonic() < deadline:
        time.sleep(0.05)

"""Tie the life of a mongod to the life of the process that started this script (POSIX only).

    exec PARENT COMMAND...   become COMMAND; the kernel kills it when PARENT goes (Linux)
    run COMMAND...           run COMMAND as a child, until it ends or stdin closes
    watch PID                mind a running process, until it ends or stdin closes

stdin is the lifeline: only the owner holds its other end, and a pipe closes even on kill -9.
SIGKILL is the right end then: mongod's journal makes it safe, and the data can be opened again at
once. A byte on it asks for a polite stop; a signal to this script could come before it is ready
for it, and would leave mongod alone. Run by path under `python -I -S`, never
imported: it may use nothing but the standard library, and starts in some 15 ms.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

assert sys.platform != "win32"  # noqa: S101 - tells the type checker

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def become(parent: int, command: list[str]) -> int:
    """Ask the kernel for SIGKILL when the thread that forked us ends, then become `command`.

    The request survives exec. Done here rather than in a preexec_fn, which is not safe in a
    program with threads. Returns only where it failed.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL.value, 0, 0, 0) != 0:
        print("prctl:", os.strerror(ctypes.get_errno()), file=sys.stderr)
    # The parent may have gone before the request: then nobody would ever tell us.
    elif os.getppid() == parent:
        try:
            os.execv(command[0], command)  # noqa: S606 - no shell is the point
        except OSError as error:
            print(f"{command[0]} cannot be run: {error.strerror}", file=sys.stderr)
    return 1


def run(command: list[str]) -> int:
    """Run `command` under the lifeline; its exit code, or 128 + signal."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)  # noqa: S603
    _follow_lifeline(child.send_signal)
    code = child.wait()
    return code if code >= 0 else 128 - code


def watch(pid: int) -> int:
    """Mind process `pid`, which is not our child, so that its exit code stays unknown: 0."""
    try:
        process = _ForeignProcess(pid)
        _follow_lifeline(process.send)
        while process.alive():
            time.sleep(0.05)
    except ProcessLookupError:
        pass
    return 0


def _follow_lifeline(send: Callable[[int], None]) -> None:
    """Send SIGTERM for each byte on the lifeline, SIGKILL when it breaks."""
    # Whoever stops all processes of a service stops mongod too; this script ends after it.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def obey() -> None:
        with contextlib.suppress(ProcessLookupError):
            while os.read(0, 1):
                send(signal.SIGTERM)
            send(signal.SIGKILL)

    threading.Thread(target=obey, daemon=True).start()


class _ForeignProcess:
    """A process that is not our child; by handle where the system has one, since a number can
    come to mean another process. Every method may raise ProcessLookupError."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._handle: int | None = None
        if sys.platform == "linux":
            try:
                self._handle = os.pidfd_open(pid)
            except ProcessLookupError:
                raise
            except OSError:  # before Linux 5.3, or a sandbox
                pass

    def send(self, number: int) -> None:
        if sys.platform == "linux" and self._handle is not None:
            signal.pidfd_send_signal(self._handle, number)
        else:
            os.kill(self._pid, number)

    def alive(self) -> bool:
        if self._handle is not None:
            return not select.select([self._handle], [], [], 0)[0]
        os.kill(self._pid, 0)
        return True


def main(arguments: list[str]) -> int:
    """Do what the first argument says; the exit code."""
    if arguments[0] == "exec":
        return become(int(arguments[1]), arguments[2:])
    if arguments[0] == "run":
        return run(arguments[1:])
    return watch(int(arguments[1]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

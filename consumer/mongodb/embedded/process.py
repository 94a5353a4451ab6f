"""Run one mongod process whose life is bound to ours."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from typing import IO

if sys.platform == "win32":
    from consumer.mongodb.embedded import windows_job

_PARENT_WATCH = Path(__file__).with_name("parent_watch.py")


class Child:
    """A mongod that ends when this process does.

    `process` is mongod itself, or the parent watch that minds it and ends with it (`lifeline` is
    then the end of the pipe we hold). On Windows `job` is the handle of the job object it runs in.
    """

    def __init__(
        self, process: subprocess.Popen[bytes], lifeline: IO[bytes] | None, job: int | None = None
    ) -> None:
        self._process = process
        self._lifeline = lifeline
        self._job = job

    def exit_code(self) -> int | None:
        """None while it runs; also collects the process, so ask until it is not None."""
        code = self._process.poll()
        if code is not None:
            self._close()
        return code

    def terminate(self) -> None:
        """Ask mongod to end in good order. Not on Windows: there this is the same as kill()."""
        if self._lifeline is None:
            self._process.terminate()
        else:
            with contextlib.suppress(BrokenPipeError):  # it has just ended
                self._lifeline.write(b"T")

    def wait(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds; True where it ended."""
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        self._close()
        return True

    def kill(self) -> None:
        """End mongod at once and wait for it; the journal keeps what was acknowledged."""
        if self._lifeline is None:
            self._process.kill()
        else:
            self._lifeline.close()  # the parent watch kills mongod; killing the watch would not
        self._process.wait()
        self._close()

    def _close(self) -> None:
        if self._lifeline is not None:
            self._lifeline.close()
        if sys.platform == "win32" and self._job is not None:
            windows_job.release(self._job)
            self._job = None


def spawn(command: list[str], *, directory: Path, output: Path) -> Child:
    """Start `command` (absolute path first); what it prints goes to `output`, written anew.

    Call it from a thread that lives as long as the child: on Linux the kernel sends the death
    signal when the THREAD that forked ends. It gets a session (Windows: a process group) of its
    own, so that Ctrl-C in the terminal does not stop mongod before the service has drained.
    Raises OSError.
    """
    if sys.platform == "win32":
        flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
        with output.open("wb") as sink:
            process = subprocess.Popen(  # noqa: S603
                command,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                cwd=directory,
                creationflags=flags,
            )
        try:
            return Child(process, None, windows_job.confine(process.pid))
        except OSError:
            process.kill()
            process.wait()
            raise
    if sys.platform == "linux":
        return Child(_watch(["exec", str(os.getpid()), *command], directory, output), None)
    return _watched(["run", *command], directory, output)


def adopt(pid: int, *, directory: Path, output: Path) -> Child:
    """Bind a mongod that already runs to our life. POSIX only: on Windows none outlives us."""
    return _watched(["watch", str(pid)], directory, output)


def _watched(arguments: list[str], directory: Path, output: Path) -> Child:
    process = _watch(arguments, directory, output, lifeline=True)
    return Child(process, process.stdin)


def _watch(
    arguments: list[str], directory: Path, output: Path, *, lifeline: bool = False
) -> subprocess.Popen[bytes]:
    with contextlib.ExitStack() as stack:
        sink = stack.enter_context(output.open("wb"))
        return subprocess.Popen(  # noqa: S603
            # -I -S: nothing of the user's environment or site-packages, and a fast start.
            [sys.executable, "-I", "-S", str(_PARENT_WATCH), *arguments],
            stdin=subprocess.PIPE if lifeline else subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            bufsize=0,
            cwd=directory,
            start_new_session=True,
        )

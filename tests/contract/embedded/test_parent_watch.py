"""The parent watch ends its mongod when its lifeline breaks (on macOS, and for an adopted one)."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from consumer.mongodb import embedded

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows uses a job object")

PARENT_WATCH = str(Path(embedded.__file__).with_name("parent_watch.py"))
SIGTERM, SIGKILL = 15, 9  # by number: Windows does not name them all
SLEEP = [sys.executable, "-I", "-S", "-c", "import time; print(1, flush=True); time.sleep(99)"]
# Seconds for what follows at once: how busy the machine is says nothing of the script.
PATIENCE = 60


def watched(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-I", "-S", PARENT_WATCH, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
    )


def test_run_kills_its_child_when_the_lifeline_closes() -> None:
    with watched("run", *SLEEP) as script:
        assert script.stdin is not None
        assert script.stdout is not None
        script.stdout.readline()
        script.stdin.close()
        assert script.wait(PATIENCE) == 128 + SIGKILL
        # The child held the other end of this pipe: nothing to read means that it is gone too.
        assert script.stdout.read() == b""


def test_run_passes_a_polite_stop_on() -> None:
    with watched("run", *SLEEP) as script:
        assert script.stdout is not None
        assert script.stdin is not None
        script.stdout.readline()
        script.stdin.write(b"T")
        assert script.wait(PATIENCE) == 128 + SIGTERM


def test_run_ends_with_its_childs_exit_code() -> None:
    with watched("run", sys.executable, "-c", "raise SystemExit(48)") as script:
        assert script.wait(PATIENCE) == 48


def test_watch_kills_a_stranger_when_the_lifeline_closes() -> None:
    with (
        subprocess.Popen(SLEEP, stdout=subprocess.DEVNULL) as stranger,
        watched("watch", str(stranger.pid)) as script,
    ):
        assert script.stdin is not None
        script.stdin.close()
        assert stranger.wait(PATIENCE) == -SIGKILL
        assert script.wait(PATIENCE) == 0


def test_watch_passes_a_polite_stop_on_however_early_it_comes() -> None:
    with (
        subprocess.Popen(SLEEP, stdout=subprocess.DEVNULL) as stranger,
        watched("watch", str(stranger.pid)) as script,
    ):
        assert script.stdin is not None
        script.stdin.write(b"T")
        assert stranger.wait(PATIENCE) == -SIGTERM
        assert script.wait(PATIENCE) == 0


def test_stop_of_the_script_alone_leaves_it_at_its_post() -> None:
    with watched("run", *SLEEP) as script:
        assert script.stdin is not None
        assert script.stdout is not None
        script.stdout.readline()
        time.sleep(0.2)
        script.terminate()
        with pytest.raises(subprocess.TimeoutExpired):
            script.wait(0.2)
        script.stdin.close()
        assert script.wait(PATIENCE) == 128 + SIGKILL


def test_watch_ends_when_the_stranger_ends_by_itself() -> None:
    with (
        subprocess.Popen(SLEEP, stdout=subprocess.DEVNULL) as stranger,
        watched("watch", str(stranger.pid)) as script,
    ):
        stranger.terminate()
        assert script.wait(PATIENCE) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux")
def test_exec_refuses_when_the_parent_is_gone_already() -> None:
    with watched("exec", "1", *SLEEP) as script:
        assert script.wait(PATIENCE) == 1

"""The pace of `send`, and its end when it is told to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from consumer.demo.client import Outgoing, Sender
from tests.support.places import ROOT
from tests.support.processes import ask_to_stop, signalled_at_end
from tests.support.senders import Receiver, Reply, sent
from tests.support.service import eventually


def test_a_rate_spaces_the_posts(receiver: Receiver) -> None:
    status, figures = sent(
        "-", "--url", receiver.url, "--repeat", "21", "--rate", "50", "--concurrency", "4",
        stdin=b"{}",
    )  # fmt: skip

    assert status == 0
    assert 0.35 < figures["seconds"] < 20
    times = sorted(delivery.received_at for delivery in receiver.got)
    assert (times[-1] - times[0]).total_seconds() > 0.3


def test_a_fault_while_making_bodies_reaches_the_caller(receiver: Receiver) -> None:
    def failing() -> Iterator[Outgoing]:
        yield Outgoing(b"1", lambda body: {})
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        list(Sender(receiver.url, concurrency=3).send(failing()))


def test_stopping_counts_what_is_under_way_and_posts_no_more(receiver: Receiver) -> None:
    held = threading.Event()

    def answer(body: bytes) -> Reply:
        if body == b"2":
            held.wait(60)
        return 200, b""

    receiver.answer = answer
    sending = Sender(receiver.url).send(Outgoing(b"%d" % n, lambda body: {}) for n in range(1, 99))

    assert next(sending).index == 0
    eventually(lambda: len(receiver.got) == 2)
    sending.stop(grace=60)
    held.set()

    assert [result.index for result in sending] == [1]
    assert receiver.bodies == [b"1", b"2"]


def test_stopping_does_not_wait_for_a_silent_server(receiver: Receiver) -> None:
    held = threading.Event()
    receiver.answer = lambda body: (200, b"") if held.wait(30) else (500, b"")
    sending = Sender(receiver.url).send([Outgoing(b"1", lambda body: {})])
    eventually(lambda: len(receiver.got) == 1)

    started = time.monotonic()
    sending.stop(grace=0.1)
    results = list(sending)

    assert results == []
    assert time.monotonic() - started < 15
    held.set()


def test_ctrl_c_ends_quickly_with_the_figures_so_far(receiver: Receiver, tmp_path: Path) -> None:
    held = threading.Event()
    receiver.answer = lambda body: (
        (200, b"") if len(receiver.got) < 6 or held.wait(60) else (0, b"")
    )
    (tmp_path / "a.json").write_bytes(b"{}")
    # A runner in the background ignores Ctrl-C, and its children inherit that.
    command = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "import sys, typer; from consumer.cli.send import send; app = typer.Typer();"
        "app.command()(send); sys.exit(app(standalone_mode=False))"
    )
    windows = sys.platform == "win32"
    if windows:
        command = signalled_at_end("SIGINT") + command
    arguments = ["a.json", "--url", receiver.url, "--repeat", "1000", "--json"]
    root = str(ROOT)
    process = subprocess.Popen(
        [sys.executable, "-c", command, *arguments],
        stdin=subprocess.PIPE if windows else None,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": root},
    )
    try:
        eventually(lambda: len(receiver.got) == 6, timeout=60)
        started = time.monotonic()
        ask_to_stop(process, signal.SIGINT)
        out, err = process.communicate(timeout=40)
    finally:
        process.kill()
        held.set()

    assert process.returncode == 130
    assert time.monotonic() - started < 30
    figures = json.loads(out)
    assert figures["interrupted"] is True
    assert figures["posts"] == figures["accepted"] == 5
    assert b"Interrupted: 5 of 1,000" in err
    assert b"Traceback" not in err

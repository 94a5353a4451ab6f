"""Waits that Ctrl-C ends; on Windows the main thread must not be in them."""

from __future__ import annotations

import _thread
import sys
import threading
import time

import pytest

from consumer.core.waiting import interruptibly


@pytest.fixture
def on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")


def test_elsewhere_the_call_is_made_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")

    assert interruptibly(threading.current_thread) is threading.current_thread()


def test_on_windows_the_main_thread_does_not_make_the_call(on_windows: None) -> None:
    assert interruptibly(threading.current_thread) is not threading.main_thread()


def test_on_windows_other_threads_make_it_themselves(on_windows: None) -> None:
    found: list[threading.Thread] = []
    thread = threading.Thread(target=lambda: found.append(interruptibly(threading.current_thread)))
    thread.start()
    thread.join(30)

    assert found == [thread]


def test_what_the_call_raises_is_raised(on_windows: None) -> None:
    def fails() -> None:
        raise ValueError("this")

    with pytest.raises(ValueError, match="this"):
        interruptibly(fails)


def test_ctrl_c_ends_the_wait_while_the_call_goes_on(on_windows: None) -> None:
    release = threading.Event()
    # As the system does: it sets a mark, and wakes nobody who waits for a lock.
    timer = threading.Timer(0.2, _thread.interrupt_main)
    timer.start()
    began = time.monotonic()

    with pytest.raises(KeyboardInterrupt):
        interruptibly(lambda: release.wait(60))
    release.set()

    assert time.monotonic() - began < 30


def test_the_result_is_there_at_once(on_windows: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consumer.core.waiting._LOOK", 60.0)
    began = time.monotonic()

    def seven() -> int:
        time.sleep(0.05)
        return 7

    assert interruptibly(seven) == 7
    assert time.monotonic() - began < 30

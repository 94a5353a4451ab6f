"""Wait so that Ctrl-C is obeyed on Windows too."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

Result = TypeVar("Result")

# Seconds until Ctrl-C is obeyed, at most.
_LOOK = 0.5


def interruptibly(call: Callable[[], Result]) -> Result:
    """Return (or raise) what `call` does, however long it waits; Ctrl-C ends the wait for it.

    On Windows a wait of the main thread for a lock, a thread or a process goes on to its end
    whatever the user presses: there a thread of its own makes the call, and goes on with it after
    Ctrl-C. The main thread looks now and then; it gets the result at once.
    """
    if sys.platform != "win32" or threading.current_thread() is not threading.main_thread():
        return call()
    made: Future[Result] = Future()

    def make() -> None:
        try:
            made.set_result(call())
        except BaseException as error:
            made.set_exception(error)

    # A daemon: a program that was interrupted must not wait for it at its end.
    threading.Thread(target=make, name="wait", daemon=True).start()
    while not wait((made,), _LOOK).done:
        pass
    return made.result()

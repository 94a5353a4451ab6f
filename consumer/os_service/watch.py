"""Report to a service manager for as long as the service runs, from a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import structlog

from config.loading import Settings
from consumer.core.errors import place_of
from consumer.runtime.service import Service, hosted
from consumer.runtime.vitals import Vitals

log = structlog.get_logger(__name__)

# Seconds between two looks while the manager waits for us: when starting and when stopping.
_SOON = 0.2


class Manager(Protocol):
    """The service manager that started this process and wants to know its state."""

    every: float
    """Seconds between two signs of life."""

    def starting(self) -> None:
        """Not ready yet; called again and again."""

    def ready(self) -> None:
        """A delivery would be kept from now on."""

    def alive(self) -> None:
        """All parts move; called every `every` seconds."""

    def well(self, summary: str) -> None:
        """A line for people, after `ready` and `alive`: it may have taken a second to find out."""

    def stuck(self, what: str) -> None:
        """A part does not move: the manager shall not take us for alive."""

    def stopping(self) -> None:
        """Answering what was accepted; called again and again until the end."""


def run(
    settings: Settings, manager: Manager, begun: Callable[[Service], None], *, embedded: bool
) -> None:
    """Run the service to its end with `manager` informed; `begun` gets it before it runs.

    Raises what `hosted` does.
    """
    # From before a MongoDB of its own comes up until after it has ended.
    with watched(manager) as look_at, hosted(settings, embedded=embedded) as service:
        begun(service)
        look_at(service.vitals)
        service.run()


@contextmanager
def watched(manager: Manager) -> Iterator[Callable[[Vitals], None]]:
    """Report to `manager`, while the block lasts, the state of the service that runs in it: that it
    is starting until the function that is yielded got its vitals."""
    ended = threading.Event()
    given: list[Vitals] = []
    thread = threading.Thread(
        target=_watch, args=(given, manager, ended), name="service-manager", daemon=True
    )
    thread.start()
    try:
        yield given.append
    finally:
        ended.set()
        # Not for long: a probe of a MongoDB that is away takes a second.
        thread.join(5)


def _watch(given: list[Vitals], manager: Manager, ended: threading.Event) -> None:
    try:
        while not given and not ended.is_set():
            manager.starting()
            ended.wait(_SOON)
        for vitals in given:
            _until_ready(vitals, manager, ended)
            _while_running(vitals, manager, ended)
        while not ended.is_set():
            manager.stopping()
            ended.wait(_SOON)
    except Exception as error:
        # Silence from here on: the manager restarts a service it hears nothing of.
        log.error(  # noqa: TRY400 - the message may quote what it should not
            "the service manager is no longer informed",
            error=type(error).__name__,
            place=place_of(error),
        )


def _over(vitals: Vitals, ended: threading.Event) -> bool:
    return vitals.stopping.is_set() or ended.is_set()


def _until_ready(vitals: Vitals, manager: Manager, ended: threading.Event) -> None:
    while not _over(vitals, ended):
        if vitals.ready():
            manager.ready()
            manager.well(vitals.summary())
            return
        manager.starting()
        vitals.stopping.wait(_SOON)


def _while_running(vitals: Vitals, manager: Manager, ended: threading.Event) -> None:
    reported: str | None = None
    while not _over(vitals, ended):
        stuck = vitals.stuck()
        if stuck is None:
            manager.alive()
            manager.well(vitals.summary())
        else:
            manager.stuck(stuck)
            if reported is None:
                log.error("a part of the service is stuck", part=stuck)
        reported = stuck
        vitals.stopping.wait(manager.every)

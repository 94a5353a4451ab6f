"""Report the state of the service to systemd, in the protocol of sd_notify(3)."""

from __future__ import annotations

import socket
import sys

import structlog

from config.environment import Supervision

log = structlog.get_logger(__name__)

# Seconds between two lines of status where no watchdog sets the pace.
_PACE = 5.0
_MOST_STATUS = 200


class Notifier:
    """Sends lines to the socket that systemd named; to nobody where there is none."""

    def __init__(self, address: str | None) -> None:
        # A leading @ stands for the NUL byte of an abstract socket.
        self._address = f"\0{address[1:]}" if address and address.startswith("@") else address
        self._failed = False

    def send(self, *lines: str) -> None:
        """One datagram, such as ("READY=1", "STATUS=…"). A manager that is gone costs nothing."""
        if self._address is None or sys.platform == "win32":
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
                # A manager that does not read must not hold us up.
                channel.settimeout(1.0)
                channel.connect(self._address)
                channel.sendall("\n".join(lines).encode())
        except OSError as error:
            if not self._failed:
                log.warning("systemd cannot be told how we are", error=error.strerror or str(error))
            self._failed = True
        else:
            self._failed = False


class Systemd:
    """A `Manager` (see watch.py). `longest_stop`: seconds that stopping may take by the settings
    in force, which may be others than those the unit was written from."""

    def __init__(self, supervision: Supervision, longest_stop: float) -> None:
        self._notifier = Notifier(supervision.socket)
        self._longest_stop = longest_stop
        self._watchdog = supervision.watchdog
        self._said: str | None = None
        self._stopping = False
        # sd_watchdog_enabled(3) advises half the time; a third leaves room for a busy machine.
        self.every = min(_PACE, supervision.watchdog / 3) if supervision.watchdog else _PACE

    def starting(self) -> None:
        self._say("starting: no delivery could be kept yet")

    def ready(self) -> None:
        self._notifier.send("READY=1")

    def alive(self) -> None:
        if self._watchdog is not None:
            self._notifier.send("WATCHDOG=1")

    def well(self, summary: str) -> None:
        self._say(f"taking webhooks on {summary}")

    def stuck(self, what: str) -> None:
        self._say(f"stuck: {what}")

    def stopping(self) -> None:
        if not self._stopping:
            self._stopping = True
            longest = f"EXTEND_TIMEOUT_USEC={int(self._longest_stop * 1_000_000)}"
            self._notifier.send(
                "STOPPING=1", longest, _status("stopping: answering what was accepted")
            )

    def _say(self, text: str) -> None:
        if text != self._said:
            self._said = text
            self._notifier.send(_status(text))


def _status(text: str) -> str:
    return f"STATUS={' '.join(text.split())[:_MOST_STATUS]}"

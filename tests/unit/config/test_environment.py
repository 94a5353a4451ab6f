"""Systemd's word for what it wants to hear."""

from __future__ import annotations

import pytest

from config.environment import Supervision, read_supervision


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, Supervision()),
        ({"NOTIFY_SOCKET": ""}, Supervision()),
        ({"NOTIFY_SOCKET": "@x"}, Supervision("@x")),
        ({"NOTIFY_SOCKET": "/run/n", "WATCHDOG_USEC": "30000000"}, Supervision("/run/n", 30.0)),
        (
            {"NOTIFY_SOCKET": "/run/n", "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"},
            Supervision("/run/n", 30.0),
        ),
        # Inherited from a parent for whom it was meant.
        (
            {"NOTIFY_SOCKET": "/run/n", "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"},
            Supervision("/run/n"),
        ),
        ({"NOTIFY_SOCKET": "/run/n", "WATCHDOG_USEC": "soon"}, Supervision("/run/n")),
        ({"NOTIFY_SOCKET": "/run/n", "WATCHDOG_USEC": "0"}, Supervision("/run/n")),
        ({"WATCHDOG_USEC": "30000000"}, Supervision()),
    ],
)
def test_the_environment_is_read_as_systemd_writes_it(
    environ: dict[str, str], expected: Supervision
) -> None:
    assert read_supervision(environ, pid=7) == expected

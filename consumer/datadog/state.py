"""What an operator should know about the way to Datadog."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class State:
    """`fault` is what the last request met, "" when it went well; times are UTC."""

    buffered: int = 0
    last_success: datetime | None = None
    unauthorised: bool = False
    fault: str = ""
    has_key: bool = True

    @property
    def ok(self) -> bool:
        return not self.fault

    @property
    def text(self) -> str:
        """One line for `/readyz` and `status`."""
        if not self.has_key:
            return "DD_API_KEY is not set: metrics are at /metrics, and in the log at debug"
        if self.unauthorised:
            now = f"the API key is refused ({self.fault}): check DD_API_KEY and DD_SITE"
        elif self.fault:
            now = f"not taking points ({self.fault})"
        elif self.last_success is None:
            now = "nothing sent yet"
        else:
            now = "reporting"
        since = (
            f", last success {self.last_success:%Y-%m-%dT%H:%M:%SZ}" if self.last_success else ""
        )
        return f"{now}{since}, {self.buffered} point(s) waiting"

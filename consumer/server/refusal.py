"""What the server answers by itself, before the application sees a request: small JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass

Response = tuple[str, list[tuple[str, str]], bytes]


@dataclass(frozen=True, slots=True)
class Refusal:
    """An HTTP error in the form that waitress asks of its own (`to_response`)."""

    status: str
    description: str
    retry_after: int | None = None

    def to_response(self, ident: str | None = None) -> Response:
        """Status line, headers and body; the connection is closed after it."""
        del ident
        headers = [("Content-Type", "application/json"), ("Connection", "close")]
        if self.retry_after is not None:
            headers.append(("Retry-After", str(self.retry_after)))
        body = {"title": self.status, "description": self.description}
        return self.status, headers, json.dumps(body).encode()


def bad_request(description: str) -> Refusal:
    return Refusal("400 Bad Request", description)


def too_large(limit: int) -> Refusal:
    return Refusal("413 Content Too Large", f"At most {limit} bytes are taken.")


OVERLOADED = Refusal("503 Service Unavailable", "Too many requests are waiting.", retry_after=1)

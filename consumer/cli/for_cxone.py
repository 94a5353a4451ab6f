"""What people are to do once there are settings: enter them at CXone, and start."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import typer

from consumer.cli.settings_text import SECRET, Shared
from consumer.signature import SignatureScheme
from consumer.web.webhook import ROUTE


def webhook_url(public_url: str | None) -> str:
    """The address CXone posts to: `public_url` with the webhook's path where it has none."""
    if public_url is None:
        return f"https://YOUR-HOST{ROUTE}"
    parts = urlsplit(public_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise typer.BadParameter("begin the URL with https://", param_hint="--public-url")
    return public_url if parts.path.strip("/") else f"{parts.scheme}://{parts.netloc}{ROUTE}"


def for_cxone(shared: Shared, url: str, hidden_in: Path | None) -> str:
    """What to enter at CXone; the secret itself unless it stays `hidden_in` a file."""
    secret = shared.current if hidden_in is None else f"(see {SECRET} in {hidden_in})"
    scheme = SignatureScheme()
    kept = "" if shared.fresh else "  (unchanged)"
    return f"""Enter at CXone, in the Data Action:

  URL           {url}
  Method        POST
  Content type  application/json
  Header        {scheme.header}: base64 of HMAC-SHA256 over the raw body
  Secret        {secret}{kept}
"""


def next_steps(path: Path, url: str) -> str:
    """What to do now."""
    option = "" if path == Path(".env") else f" --env-file {path}"
    check = url if "YOUR-HOST" not in url else "https://YOUR-HOST"
    return f"""Next:

  cxone-consumer{option} serve --embedded    to try it out, with a MongoDB of its own

or set MONGODB_URI in {path}, then

  cxone-consumer{option} doctor              to check everything it needs
  cxone-consumer{option} serve               to take webhooks
  cxone-consumer{option} doctor --url {check}   to check the way from outside
"""

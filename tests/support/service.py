"""Run the whole service inside the test process, and talk to it through a real socket."""

from __future__ import annotations

import hmac
import http.client
import json
import tempfile
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from pymongo.database import Database

from config import loading as configuration
from consumer.ingest.signature import sign
from consumer.runtime.jobs import PREPARE_EVERY
from consumer.runtime.service import Service
from consumer.runtime.settings_map import signature_scheme

PATH = "/webhook/cxone-dataaction"
SECRET = "a secret for tests"
UNSIGNED: Mapping[str, str] = {}
# The settings for senders that keep to Standard Webhooks; the secret is SECRET, written their way.
STANDARD_WEBHOOKS: Mapping[str, str] = {
    "cxone_shared_secret": f"whsec_{b64encode(SECRET.encode()).decode()}",
    "cxone_secret_format": "whsec",
    "cxone_signature_header": "Webhook-Signature",
    "cxone_signature_prefix": "v1,",
    "cxone_several_signatures": "on",
    "cxone_signed_content": "{id}.{timestamp}.{body}",
    "cxone_timestamp_header": "Webhook-Timestamp",
    "cxone_signed_id_header": "Webhook-Id",
}
# Seconds between the looks of `prepare_store` in a test of what it finds.
SOON = 0.5


@dataclass(frozen=True, slots=True)
class Answer:
    """A response; `json` is its body read as JSON, or None."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """Posts to a running service, signed as its settings say."""

    def __init__(self, service: Service, settings: configuration.Settings) -> None:
        self.service = service
        self._scheme = signature_scheme(settings.main)

    def post(
        self, body: bytes | dict[str, Any], headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Post to the webhook; signed unless `headers` are given."""
        data = self.encoded(body)
        if headers is None:
            now = datetime.now(timezone.utc)
            headers = sign(self._scheme, SECRET.encode(), data, now)
        return self.request("POST", PATH, data, headers)

    def encoded(self, body: bytes | dict[str, Any]) -> bytes:
        return body if isinstance(body, bytes) else json.dumps(body).encode()

    def signed(self, body: bytes, secret: str, *, hexadecimal: bool = False) -> dict[str, str]:
        """The headers of a body that `secret` signs: as CXone does, or as Expert."""
        if not hexadecimal:
            return sign(self._scheme, secret.encode(), body, datetime.now(timezone.utc))
        digest = hmac.new(secret.encode(), body, "sha256").hexdigest()
        return {"X-Nexus-Signature-256": f"sha256={digest}"}

    def get(self, path: str) -> Answer:
        return self.request("GET", path, b"", {})

    def request(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        connection = http.client.HTTPConnection(*self.service.server.address, timeout=30)
        try:
            connection.request(method, path, body, dict(headers))
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, response.read())
        finally:
            connection.close()


@contextmanager
def running_service(
    uri: str, database: str, prepare_every: float = PREPARE_EVERY, /, **settings: str
) -> Iterator[Client]:
    """The service on a free port; `settings` by lower-case name over those of a plain test.
    `prepare_every`: SOON, where a test waits for what `prepare_store` finds."""
    given = {
        "CXONE_SHARED_SECRET": SECRET,
        "CXONE_LISTEN": "127.0.0.1:0",
        "MONGODB_URI": uri,
        "MONGODB_DATABASE": database,
        # On a busy machine a first insert may take long; these tests are not about the spool.
        "CXONE_SPOOL_AFTER": "5s",
        **{name.upper(): value for name, value in settings.items()},
    }
    with tempfile.TemporaryDirectory(prefix="cxone-service-") as directory:
        loaded = configuration.load({"CXONE_DATA_DIR": directory, **given}, {})
        service = Service(loaded, uri, prepare_every=prepare_every)
        thread = threading.Thread(target=service.run)
        thread.start()
        try:
            yield Client(service, loaded)
        finally:
            service.stop()
            thread.join(60)
            assert not thread.is_alive()


def dead_letters(database: Database[dict[str, Any]]) -> list[dict[str, Any]]:
    return list(database["dead_letter_queue"].find().sort("timestamp"))


def eventually(condition: Callable[[], object], timeout: float = 60.0) -> None:
    """Wait for what happens off the request path; fails when it does not."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)

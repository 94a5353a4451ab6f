"""A client of OAuth 2.0 that others wrote gets its token through the server, and posts with it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any
from urllib.parse import quote_plus

import falcon
import pytest
import urllib3
from oauthlib.oauth2 import BackendApplicationClient, OAuth2Error

from config.sources import TOKEN_PATH
from consumer.core.clock import utc_now
from consumer.core.metrics import Metrics
from consumer.core.throttle import Throttle
from consumer.http import errors
from consumer.http.client_address import Clients
from consumer.http.token import TokenEndpoint
from consumer.ingest.oauth2 import check
from consumer.ingest.signature import Secret
from tests.support.senders import running

SECRET = "a client secret of tests: 100 % + more"
SECRETS = (Secret("current", SECRET.encode()),)
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Deliveries:
    """Takes what comes with a token."""

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        token = (req.auth or "").removeprefix("Bearer ")
        resp.media = {"secret": check(token, "voice", SECRETS, datetime.now(timezone.utc))}


def app() -> falcon.App[Any, Any]:
    built: falcon.App[Any, Any] = falcon.App()
    endpoint = TokenEndpoint(
        clients={"voice": SECRETS}, clock=utc_now, addresses=Clients(()), throttle=Throttle()
    )
    built.add_route(TOKEN_PATH, endpoint)
    built.add_route("/webhook/voice", Deliveries())
    errors.install(built, reject_status=400, metrics=Metrics())
    return built


def post(address: tuple[str, int], path: str, body: str, headers: Mapping[str, str]) -> Any:
    url = f"http://{address[0]}:{address[1]}{path}"
    return urllib3.request("POST", url, body=body.encode(), headers=headers, retries=False)


@pytest.mark.parametrize("way", ["form", "basic"])
def test_a_client_gets_a_token_and_posts_with_it(way: str) -> None:
    client = BackendApplicationClient(client_id="voice")
    with running(app(), max_body_bytes=100_000) as (server, _):
        if way == "form":
            body = client.prepare_request_body(
                include_client_id=True, client_secret=SECRET, scope=["events"]
            )
            headers = {}
        else:
            body = client.prepare_request_body()
            headers = urllib3.make_headers(basic_auth=f"voice:{quote_plus(SECRET)}")
        answer = post(server.address, TOKEN_PATH, body, {**FORM, **headers})
        client.parse_request_body_response(answer.data.decode())
        uri, sent, _ = client.add_token("https://example.invalid/webhook/voice", "POST")
        taken = post(server.address, "/webhook/voice", "{}", sent)

    assert uri.endswith("/webhook/voice")
    assert (taken.status, taken.json()) == (200, {"secret": "current"})
    assert 3200 < client.token["expires_at"] - time.time() <= 3300


@pytest.mark.parametrize(
    ("body", "error", "status"),
    [
        ("grant_type=client_credentials&client_id=voice&client_secret=x", "invalid_client", 401),
        ("grant_type=client_credentials&client_id=voice", "invalid_request", 400),
        ("x=" + "x" * 9000, "invalid_request", 413),
    ],
)
def test_a_client_understands_why_it_was_refused(body: str, error: str, status: int) -> None:
    with running(app(), max_body_bytes=100_000) as (server, _):
        answer = post(server.address, TOKEN_PATH, body, FORM)

    assert answer.status == status
    with pytest.raises(OAuth2Error) as understood:
        BackendApplicationClient("voice").parse_request_body_response(answer.data.decode())
    assert understood.value.error == error


def test_a_wrong_token_is_answered_with_the_challenge_that_has_a_client_ask_anew() -> None:
    with running(app(), max_body_bytes=100_000) as (server, _):
        wrong = post(server.address, "/webhook/voice", "{}", {"Authorization": "Bearer v1.a.b"})
        none = post(server.address, "/webhook/voice", "{}", {})

    assert (wrong.status, wrong.headers["WWW-Authenticate"]) == (
        401,
        'Bearer error="invalid_token"',
    )
    assert (none.status, none.headers["WWW-Authenticate"]) == (401, 'Bearer realm="cxone-consumer"')


def test_two_headers_authorization_prove_nothing() -> None:
    headers = urllib3.HTTPHeaderDict(FORM)
    for _ in range(2):
        proof = urllib3.make_headers(basic_auth=f"voice:{quote_plus(SECRET)}")
        headers.add("Authorization", proof["authorization"])
    with running(app(), max_body_bytes=100_000) as (server, _):
        answer = post(server.address, TOKEN_PATH, "grant_type=client_credentials", headers)

    assert answer.status == 400

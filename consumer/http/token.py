"""Give senders an access token for their client secret (RFC 6749, section 4.4: client credentials).

Nothing here waits for MongoDB.
"""

from __future__ import annotations

import base64
import hmac
import math
from collections.abc import Callable, Mapping
from datetime import datetime
from urllib.parse import parse_qsl, unquote_plus

import falcon
import msgspec
import structlog

from consumer.core.throttle import Throttle
from consumer.http.client_address import Clients
from consumer.http.errors import Resource
from consumer.ingest.oauth2 import CLOCK_SKEW, MOST_LIFETIME, issue
from consumer.ingest.signature import Secret

log = structlog.get_logger(__name__)

_MOST_BYTES = 8 * 1024
_MOST_FIELDS = 100
# What every process honours, also one whose clock is ahead.
_EXPIRES_IN = MOST_LIFETIME - CLOCK_SKEW
_HEADERS = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_CHALLENGE = 'Basic realm="cxone-consumer", charset="UTF-8"'


class _Refused(Exception):
    """An answer of RFC 6749, section 5.2; `why` has no quotes, which that allows none of."""

    def __init__(self, error: str, why: str, status: str = falcon.HTTP_400) -> None:
        super().__init__(why)
        self.error = error
        self.status = status
        self.headers: dict[str, str] = {}
        if status == falcon.HTTP_401:
            self.headers["WWW-Authenticate"] = _CHALLENGE


class TokenEndpoint(Resource):
    """`POST /oauth2/token`. `clients` are the secrets of each source; its name is the client id.

    A `scope` is ignored (section 3.3): a token is for delivering to one source, whatever its sender
    calls that, and some senders cannot leave it out.
    """

    def __init__(
        self,
        *,
        clients: Mapping[str, tuple[Secret, ...]],
        clock: Callable[[], datetime],
        addresses: Clients,
        throttle: Throttle,
    ) -> None:
        self._names = frozenset(clients)
        self._secrets = [(name, secret) for name, all_ in clients.items() for secret in all_]
        self._clock = clock
        self._addresses = addresses
        self._throttle = throttle

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        resp.set_headers(_HEADERS)
        answer: dict[str, object]
        try:
            answer = self._token(req)
        except _Refused as refused:
            resp.status = refused.status
            resp.set_headers(refused.headers)
            answer = {"error": refused.error, "error_description": str(refused)}
        resp.content_type = falcon.MEDIA_JSON
        resp.data = msgspec.json.encode(answer)

    def _token(self, req: falcon.Request) -> dict[str, object]:
        form = _form(req)
        grant = form.get("grant_type")
        if grant is None:
            raise _Refused("invalid_request", "grant_type is missing.")
        if grant != "client_credentials":
            raise _Refused("unsupported_grant_type", "grant_type must be client_credentials.")
        client, given = _credentials(req.auth, form)
        found = self._find(client.encode(), given.encode())
        if found is None:
            raise self._wrong(client, self._addresses.peer(req.env))
        token = issue(*found, self._clock(), MOST_LIFETIME)
        return {"access_token": token, "token_type": "Bearer", "expires_in": _EXPIRES_IN}

    def _find(self, client: bytes, given: bytes) -> tuple[str, Secret] | None:
        """The client and its secret, with the same work for ids that nobody has."""
        found = None
        for name, secret in self._secrets:
            is_client = hmac.compare_digest(name.encode(), client)
            # Both are compared, always.
            if hmac.compare_digest(secret.key, given) & is_client:
                found = name, secret
        return found

    def _wrong(self, client: str, address: str) -> _Refused:
        """The refusal of a wrong try. Only these are counted, after the look at the secret: that
        bounds the lines of the log, and not the tries. So nobody can have a right one refused by
        guessing, also where all come from one address; and a long one is not guessed."""
        wait = self._throttle.take(address)
        if wait is None:
            # People paste secrets into the wrong field, so only an id that is known is told.
            source = client if client in self._names else ""
            log.warning("wrong client secret", source=source, client=address)
            why = "Unknown client, or wrong secret. In Basic both are form-encoded first."
            return _Refused("invalid_client", why, falcon.HTTP_401)
        refused = _Refused("invalid_client", "Too many wrong tries.", falcon.HTTP_429)
        refused.headers["Retry-After"] = str(math.ceil(wait))
        return refused


def _form(req: falcon.Request) -> dict[str, str]:
    """The fields of the form that have a value (section 3.2: others are as if left out)."""
    if (req.content_type or "").partition(";")[0].strip().lower() != falcon.MEDIA_URLENCODED:
        raise _Refused("invalid_request", f"The body must be {falcon.MEDIA_URLENCODED}.")
    length = req.content_length or 0
    if length > _MOST_BYTES:
        why = f"At most {_MOST_BYTES} bytes are taken."
        raise _Refused("invalid_request", why, falcon.HTTP_413)
    try:
        fields = parse_qsl(
            req.bounded_stream.read(length).decode(),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MOST_FIELDS,
        )
    except ValueError:
        raise _Refused(
            "invalid_request", "The form is not UTF-8, or has too many fields."
        ) from None
    form = dict(fields)
    if len(form) < len(fields):
        raise _Refused("invalid_request", "A parameter is there more than once.")
    return {name: value for name, value in form.items() if value}


def _credentials(header: str | None, form: Mapping[str, str]) -> tuple[str, str]:
    """Client id and secret, from the form or the header Authorization."""
    client, secret = form.get("client_id"), form.get("client_secret")
    if header is None:
        if client and secret:
            return client, secret
        if client or secret:
            raise _Refused("invalid_request", "client_id or client_secret is missing.")
        raise _Refused("invalid_client", "No client credentials came.", falcon.HTTP_401)
    if len(header) > _MOST_BYTES:
        raise _Refused("invalid_request", "The header Authorization is too long.")
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        raise _Refused("invalid_client", "Only Basic or a form is taken.", falcon.HTTP_401)
    if secret:
        raise _Refused("invalid_request", "Credentials came in the header and in the form.")
    found = _basic(encoded)
    # Beside Basic an id alone is no second proof, and some libraries send it.
    if client not in (None, found[0]):
        raise _Refused("invalid_request", "client_id is another in the header.")
    return found


def _basic(encoded: str) -> tuple[str, str]:
    """Id and secret of a header Basic, form-decoded as section 2.3.1 asks."""
    try:
        text = base64.b64decode(encoded.strip(" "), validate=True).decode()
        client, secret = text.split(":", 1)
        return unquote_plus(client, errors="strict"), unquote_plus(secret, errors="strict")
    except ValueError:
        raise _Refused("invalid_request", "The header Authorization cannot be read.") from None

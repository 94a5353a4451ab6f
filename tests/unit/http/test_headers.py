from __future__ import annotations

from consumer.http.headers import EnvironHeaders

ENVIRON = {
    "REQUEST_METHOD": "POST",
    "CONTENT_TYPE": "application/json",
    "CONTENT_LENGTH": "2",
    "HTTP_X_NICE_WEBHOOK_SIGNATURE": "abc",
    "HTTP_X_HUB_SIGNATURE_256": "def",
    "HTTP_X_REQUEST_TIMESTAMP": "1",
    "HTTP_X_NEXUS_DELIVERY_ID": "7",
    "HTTP_X_CLIENT_ID": "client",
    "HTTP_X_CUSTOM": "custom",
    "HTTP_AUTHORIZATION": "Bearer secret",
    "HTTP_COOKIE": "session",
    "HTTP_USER_AGENT": "CXone",
    "wsgi.input": object(),
}


def test_any_header_is_found_in_any_case() -> None:
    headers = EnvironHeaders(ENVIRON)

    assert headers["X-Nice-Webhook-Signature"] == headers["x-nice-webhook-signature"] == "abc"
    assert headers["Content-Type"] == "application/json"
    assert headers.get("X-Absent") is None


def test_iteration_yields_what_is_worth_keeping_and_never_credentials() -> None:
    headers = EnvironHeaders(ENVIRON, frozenset({"x-custom"}))

    assert dict(headers) == {
        "content-type": "application/json",
        "x-nice-webhook-signature": "abc",
        "x-hub-signature-256": "def",
        "x-request-timestamp": "1",
        "x-nexus-delivery-id": "7",
        "x-custom": "custom",
        "user-agent": "CXone",
    }
    assert len(headers) == 7


def test_long_values_are_cut() -> None:
    assert len(EnvironHeaders({"HTTP_X_SIGNATURE": "a" * 9999})["X-Signature"]) == 1024

"""A head that is read fast is read as waitress reads it, and what is odd is left to waitress."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from waitress.adjustments import Adjustments

from consumer.http.server import parser
from consumer.http.server.heads import plain_head
from consumer.http.server.parser import RequestParser
from consumer.http.server.server import ServerOptions, _adjustments

_LINES = (
    *("Host: example.com", "Content-Length: 5", "content-length:5 ", "Content-Length: +5"),
    *("Content-Length: 05", "Content-Length: 5, 5", "Content-Length:", "Content-Length: \xb2"),
    *("Transfer-Encoding: chunked", "transfer-encoding : chunked", "Connection: close"),
    *("Connection: Keep-Alive", "Expect: 100-continue", "X_Nice: a", "X-Nice: a", "x-nice: b"),
    *(" folded", "\tfolded", "X-Tab:\ta\tb", "X-Empty:", "Nocolon", ": no name", "X:a:b"),
    *("X-Bare: a\rb", "X-Bare: a\nb", "X-Nul: \0", "X-Text: Zo\xeb", "X-Del: \x7f", "A b: c"),
    *("X-Nice-Webhook-Signature: q83vEjRWeJA=", "Content-Length: " + "9" * 20, "X\x85: a"),
)
_STARTS = (
    *("POST /webhook HTTP/1.1", "GET / HTTP/1.1", "GET / HTTP/1.0", "GET /", "get / HTTP/1.1"),
    *("GET //a?b#c HTTP/1.1", "GET http://host:80/a%20b?c=d HTTP/1.1", "GET http://[::1/ HTTP/1.1"),
    *("GET /Zo\xeb HTTP/1.1", "GET /\n HTTP/1.1", "GET / HTTP/1.1 ", "POST / HTTP/2.0"),
    "GET /" + "a" * 300 + " HTTP/1.1",
)
_TEXT = st.text(st.characters(max_codepoint=255), max_size=20)
_NAMED = st.builds("{}: {}".format, st.sampled_from(["A", "a", "B-c", "D"]), _TEXT)


@pytest.mark.parametrize("start", _STARTS)
def test_odd_heads_are_read_as_without_the_short_way(start: str) -> None:
    for line in ("A: b", *_LINES):
        assert_read_alike(start, "A: a", line, "Content-Length: 5")
        assert_read_alike(start, line)


@given(st.sampled_from(_STARTS) | _TEXT, st.lists(_NAMED | st.sampled_from(_LINES) | _TEXT))
def test_any_head_is_read_as_without_the_short_way(start: str, lines: list[str]) -> None:
    assert_read_alike(start, *lines)


@pytest.mark.parametrize("name", ["Host", "User-Agent", "X-Nice-Webhook-Signature", "X-a!b"])
def test_plain_heads_go_the_short_way(name: str) -> None:
    head = f"POST /webhook HTTP/1.1\r\n{name}: a b\r\nContent-Length: 5\r\n\r\n".encode()

    found = plain_head(head)

    assert found is not None
    assert found[1] == {name.upper().replace("-", "_"): "a b", "CONTENT_LENGTH": "5"}
    assert found[2] == 5


def assert_read_alike(*lines: str) -> None:
    data = "\r\n".join([*lines, "", "12345"]).encode("latin-1")
    assert told(data, short=True) == told(data, short=False)


def told(data: bytes, *, short: bool) -> dict[str, Any]:
    """All that a parser says of a request, or of its refusal."""
    with pytest.MonkeyPatch.context() as patch:
        if not short:
            patch.setattr(parser, "plain_head", lambda _: None)
        request = RequestParser(_ADJUSTMENTS)
        consumed = [request.received(data)]
        consumed.append(request.received(data[consumed[0] :]))
    names = {*vars(request)} | {"expect_continue", "connection_close", "chunked", "content_length"}
    kept = {name: getattr(request, name) for name in names - {"body_rcv", "adj"}}
    body = request.get_body_stream().read() if request.body_rcv is not None else None
    return {**kept, "consumed": consumed, "body": body, "kind": type(request.body_rcv)}


_ADJUSTMENTS: Adjustments = _adjustments(ServerOptions("127.0.0.1:0", 4, 1 << 20))

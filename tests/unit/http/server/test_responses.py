"""The short way of an answer says what waitress's own way says."""

from __future__ import annotations

from io import BytesIO
from types import SimpleNamespace
from typing import Any

import pytest
from waitress.task import WSGITask

from consumer.http.server.responses import Task

PLAIN = [("content-type", "application/json"), ("content-length", "2"), ("x-frame-OPTIONS", "no")]


def answer(
    kind: type[WSGITask],
    status: str = "200 OK",
    headers: list[tuple[str, str]] = PLAIN,
    version: str = "1.1",
    asked: dict[str, str] | None = None,
    chunks: tuple[bytes, ...] = (b"{}",),
) -> tuple[list[bytes], bool]:
    """The pieces that are written, and True where the connection is to be closed."""
    pieces: list[bytes] = []

    def application(_environ: Any, start: Any) -> Any:
        start(status, headers)
        return list(chunks)

    adj = SimpleNamespace(ident="us", url_prefix="", log_socket_errors=True)
    server = SimpleNamespace(
        adj=adj, application=application, effective_port=80, server_name="here"
    )
    channel = SimpleNamespace(
        server=server,
        adj=adj,
        addr=("127.0.0.1", 1),
        write_soon=pieces.append,
        check_client_disconnected=None,
    )
    request = SimpleNamespace(
        version=version,
        headers=asked or {},
        command="GET",
        path="/",
        request_uri="/",
        query="",
        url_scheme="http",
        get_body_stream=lambda: None,
    )
    task = kind(channel, request)
    task.start_time = 1_700_000_000.5
    task.start = lambda: None
    task.service()
    return pieces, task.close_on_finish


def lines(pieces: list[bytes]) -> tuple[bytes, list[bytes], bytes]:
    head, _, body = b"".join(pieces).partition(b"\r\n\r\n")
    first, *rest = head.split(b"\r\n")
    return first, sorted(rest), body


def test_a_plain_answer_leaves_in_one_piece() -> None:
    pieces, closes = answer(Task)

    assert len(pieces) == 1
    assert not closes


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"status": "503 Service Unavailable", "headers": [*PLAIN, ("retry-after", "1")]},
        {"version": "1.0"},
        {"version": "1.0", "asked": {"CONNECTION": "keep-alive"}},
        {"asked": {"CONNECTION": "close"}},
        {"headers": [("content-type", "text/plain")], "chunks": (b"a", b"b")},
        {"headers": [("content-length", "2")], "chunks": (b"a", b"b")},
        {"headers": [("content-length", "3")]},
        {"headers": [("content-type", "text/plain")]},
        {"headers": [*PLAIN, ("date", "yesterday"), ("server", "another")]},
        {"status": "204 No Content", "headers": []},
        {"headers": [("content-length", "0")], "chunks": ()},
    ],
)
def test_every_answer_is_the_one_of_waitress(given: dict[str, Any]) -> None:
    ours, theirs = answer(Task, **given), answer(WSGITask, **given)

    assert lines(ours[0]) == lines(theirs[0])
    assert ours[1] == theirs[1]


@pytest.mark.parametrize("path", ["/webhook", "//webhook", "*", ""])
def test_the_environ_is_that_of_waitress(path: str) -> None:
    headers = {"HOST": "a", "CONTENT_TYPE": "b", "CONTENT_LENGTH": "5", "X_NICE": "c"}
    body, adj = BytesIO(b"12345"), SimpleNamespace(ident="us", url_prefix="")
    server = SimpleNamespace(adj=adj, effective_port=80, server_name="here")
    channel = SimpleNamespace(
        server=server, addr=("127.0.0.1", 1, 0, 0), check_client_disconnected=print
    )
    request = SimpleNamespace(
        version="1.1",
        headers=headers,
        command="POST",
        path=path,
        request_uri=f"{path}?a=b",
        query="a=b",
        url_scheme="http",
        get_body_stream=lambda: body,
    )

    ours, theirs = (kind(channel, request).get_environment() for kind in (Task, WSGITask))

    assert ours == theirs

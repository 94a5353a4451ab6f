"""`send` and its answers, and none."""

from __future__ import annotations

import socket
import threading
import time

from tests.support.senders import Receiver, counts, ran, sent
from tests.support.service import SECRET


def test_people_get_a_table_of_answers_and_times(receiver: Receiver) -> None:
    receiver.answer = lambda body: (
        (400, b'{"title":"Malformed JSON"}') if body == b"2" else (200, b'{"status":"duplicate"}')
    )

    result = ran("send", "-", "--url", receiver.url, stdin=b"1\n2\n3\n4\n")

    assert result.return_value == 1
    for text in ("200 duplicate", "75.0 %", "400 Malformed JSON", "25.0 %", "p99", "4 answers in"):
        assert text in result.stdout
    assert "\x1b" not in result.stdout + result.stderr
    assert SECRET not in result.stdout + result.stderr


def test_redirects_are_shown_not_followed(receiver: Receiver) -> None:
    receiver.answer = lambda body: (307, b"")

    status, figures = sent("-", "--url", receiver.url, stdin=b"{}")

    assert status == 1
    assert counts(figures) == {(307, "Temporary Redirect"): 1}
    assert receiver.paths == {"/webhook/cxone-dataaction"}


def test_an_endless_reply_is_cut(receiver: Receiver) -> None:
    receiver.answer = lambda body: (200, b" " * 5_000_000)

    status, figures = sent("-", "--url", receiver.url, "--repeat", "2", stdin=b"{}")

    assert status == 0
    assert counts(figures) == {(200, "OK"): 2}
    assert len(receiver.connections) == 2


def test_nobody_listening_gives_up_soon_and_says_what_to_do() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"

        result = ran("send", "-", "--url", url, "--repeat", "100000", stdin=b"{}")

    assert result.return_value == 1
    assert "no answer: connection refused" in result.stdout
    assert "Gave up after" in result.stderr
    assert "cxone-consumer serve" in result.stderr


def test_a_server_that_hangs_or_hangs_up_is_told_apart() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"

        def serve() -> None:
            with listener.accept()[0]:
                pass
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
                time.sleep(0.5)

        thread = threading.Thread(target=serve)
        thread.start()
        status, figures = sent("-", "--url", url, "--timeout", "0.2", stdin=b"1\n2\n")
        thread.join()

    assert status == 1
    assert counts(figures) == {
        (None, "no answer: the connection closed before the answer"): 1,
        (None, "no answer: nothing came within 0.2 s"): 1,
    }


def test_what_is_no_http_is_no_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with listener.accept()[0] as connection:
                connection.recv(65536)
                connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        status, figures = sent("-", "--url", url, stdin=b"1")
        thread.join()

    assert (status, figures["answered"]) == (1, 0)

from __future__ import annotations

import pytest

from consumer.http.server.bodies import FixedBody


@pytest.mark.parametrize("parts", [[b"hello"], [b"he", b"llo"], [b"h", b"", b"ello"]])
def test_a_body_is_the_parts_that_came(parts: list[bytes]) -> None:
    body = FixedBody(5)

    taken = [body.received(part) for part in parts]

    assert sum(taken) == len(body) == 5
    assert body.completed
    assert body.getfile().read(5) == b"hello"


def test_what_follows_the_body_is_left() -> None:
    body = FixedBody(5)

    taken = [body.received(b"he"), body.received(b"lloGET /")]

    assert taken == [2, 3]
    assert body.completed
    assert body.getfile().read() == b"hello"


def test_a_body_that_came_whole_is_never_copied() -> None:
    whole = b"x" * 100_000
    body = FixedBody(len(whole))
    body.received(whole)

    assert body.getfile().read(len(whole)) is whole


def test_a_body_is_incomplete_until_its_last_byte() -> None:
    body = FixedBody(5)

    body.received(b"hell")

    assert not body.completed
    assert len(body) == 4

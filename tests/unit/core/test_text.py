from __future__ import annotations

from consumer.core.text import hexdump


def test_dump_shows_the_head_and_32_bytes_around_the_fault() -> None:
    body = bytes(range(200))

    head, around, fault = hexdump(body, 150, 64).split(" | ")

    assert head == "000000: " + body[:64].hex(" ")
    assert around == f"{134:06x}: " + body[134:166].hex(" ")
    assert fault == "fault at byte 150 of 200"


def test_short_body_is_shown_once() -> None:
    assert hexdump(b"{x", 1, 64) == "000000: 7b 78 | fault at byte 1 of 2"


def test_fault_without_position_shows_the_head_alone() -> None:
    assert hexdump(b"\xff" * 100, None, 4) == "000000: ff ff ff ff"

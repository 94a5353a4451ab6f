"""Put replies and network faults into few words, and count them and how long they took."""

from __future__ import annotations

import json
import math
import re
from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from urllib3 import BaseHTTPResponse, Timeout
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
    SSLError,
)

NO_ANSWER = "no answer"
REFUSED = "connection refused"

# The most special first.
_FAULTS: tuple[tuple[type[HTTPError], str], ...] = (
    (NameResolutionError, "the host name is not known"),
    (NewConnectionError, "the host cannot be reached"),
    (ConnectTimeoutError, "no connection within {connect:g} s"),
    (ReadTimeoutError, "nothing came within {read:g} s"),
    (SSLError, "TLS failed: is it https, and its certificate trusted?"),
    (ProtocolError, "the connection closed before the answer"),
)

_MAX_REPLY_BYTES = 64 * 1024
_MAX_WORD = 60
_UNPRINTABLE = re.compile(r"[^\x20-\x7e\xa0-\u1fff\u2070-\ud7ff]")

# The words come from a server we do not know: it must not grow our memory.
_MAX_ANSWERS = 50
_OTHER = "(other answers)"


def read_word(response: BaseHTTPResponse) -> str:
    """The word that names the reply, its connection ready for the next post.

    Raises urllib3's HTTPError when the reply breaks off or does not come in time.
    """
    data = response.read(_MAX_REPLY_BYTES + 1, decode_content=False)
    if len(data) > _MAX_REPLY_BYTES:
        # The rest would have to be read before the connection could be used again.
        response.close()
    else:
        response.release_conn()
    return word_of(data, response.reason or "")


def word_of(data: bytes, reason: str) -> str:
    """`status` or `title` of a JSON reply, else the reason phrase; one short printable line."""
    try:
        reply = json.loads(data)
    except (ValueError, RecursionError):
        reply = None
    word = reason
    if isinstance(reply, dict):
        words = (reply.get("status"), reply.get("title"))
        word = next((text for text in words if isinstance(text, str) and text), reason)
    return _UNPRINTABLE.sub("?", word)[:_MAX_WORD]


def fault_text(error: HTTPError, timeout: Timeout) -> str:
    """Say why there was no answer: the same text for the same cause, so that it can be counted."""
    if isinstance(error.__cause__, ConnectionRefusedError):
        return REFUSED
    text = next((text for kind, text in _FAULTS if isinstance(error, kind)), type(error).__name__)
    return text.format(connect=timeout.connect_timeout, read=timeout.read_timeout)


@dataclass(frozen=True, slots=True)
class Result:
    """The end of the post at position `index` (from 0).

    `word` is the status word or title in the reply. Without an answer `status` is None and `error`
    says why. `seconds` run from the first byte sent, or the connecting, to the whole reply.
    """

    index: int
    status: int | None
    word: str
    seconds: float
    error: str | None = None

    @property
    def accepted(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Answers:
    """One answer and its count; `status` None and `word` with the reason where none came."""

    status: int | None
    word: str
    count: int


@dataclass(frozen=True, slots=True)
class Latency:
    """Nearest-rank percentiles in seconds, over the posts that were answered."""

    p50: float
    p95: float
    p99: float
    max: float


@dataclass(frozen=True, slots=True)
class Summary:
    """`posts` ended in `seconds`, `answered` of them with any status, `accepted` with 2xx;
    `throughput` is answers a second."""

    posts: int
    answered: int
    accepted: int
    seconds: float
    throughput: float
    answers: tuple[Answers, ...]
    latency: Latency | None


class Tally:
    """Running counts of results; holds 8 bytes a post beside them."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[int | None, str]] = Counter()
        self._latencies = array("d")
        self._posts = 0
        self._accepted = 0

    @property
    def posts(self) -> int:
        return self._posts

    @property
    def answered(self) -> int:
        return len(self._latencies)

    def add(self, result: Result) -> None:
        self._posts += 1
        self._accepted += result.accepted
        if result.status is not None:
            self._latencies.append(result.seconds)
        word = result.word if result.error is None else f"{result.word}: {result.error}"
        answer = (result.status, word)
        if answer not in self._counts and len(self._counts) >= _MAX_ANSWERS:
            answer = (result.status and result.status // 100 * 100, _OTHER)
        self._counts[answer] += 1

    def summary(self, seconds: float) -> Summary:
        """Sum up what was counted within `seconds`; the most frequent answer first."""
        ordered = sorted(self._latencies)
        return Summary(
            posts=self._posts,
            answered=len(ordered),
            accepted=self._accepted,
            seconds=seconds,
            throughput=len(ordered) / seconds if seconds > 0 else 0.0,
            answers=tuple(
                Answers(status, word, count) for (status, word), count in self._counts.most_common()
            ),
            latency=_latency(ordered) if ordered else None,
        )


def summary(results: Iterable[Result], seconds: float) -> Summary:
    """Sum up results that are all at hand."""
    tally = Tally()
    for result in results:
        tally.add(result)
    return tally.summary(seconds)


def _latency(ordered: list[float]) -> Latency:
    def rank(share: float) -> float:
        return ordered[max(0, math.ceil(share * len(ordered)) - 1)]

    return Latency(p50=rank(0.5), p95=rank(0.95), p99=rank(0.99), max=ordered[-1])

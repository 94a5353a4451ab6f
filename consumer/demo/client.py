"""Post bodies over kept-alive connections from several threads, at a rate if one is set."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from time import monotonic, perf_counter

import urllib3
from urllib3.exceptions import HTTPError

from consumer.demo.results import NO_ANSWER, Result, fault_text, read_word

Sign = Callable[[bytes], Mapping[str, str]]

_CONNECT_TIMEOUT = 5.0
# On Windows a wait without end cannot be interrupted by Ctrl-C.
_WAKE_EVERY = 0.2
# Seconds of lateness that a paced run may make up for; more would be a burst nobody asked for.
_CATCH_UP = 0.1


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A body and what signs it: called just before it leaves, for the time may be signed too."""

    body: bytes
    sign: Sign


class Sender:
    """Connections to one URL, kept open between posts.

    No retries, redirects or proxies: what a post met is what its result says. `timeout` is the
    longest silence in seconds, `rate` posts a second (None: as fast as answers come).
    """

    def __init__(
        self, url: str, *, concurrency: int = 1, timeout: float = 30.0, rate: float | None = None
    ) -> None:
        self._url = url
        self._concurrency = concurrency
        self._rate = rate
        self._timeout = urllib3.Timeout(connect=min(_CONNECT_TIMEOUT, timeout), read=timeout)
        self._pool = urllib3.PoolManager(num_pools=1, maxsize=concurrency, retries=False)

    def post(self, outgoing: Outgoing, index: int = 0) -> Result:
        """Post one body and wait for its answer; callable from any thread."""
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "cxone-consumer-send",
            **outgoing.sign(outgoing.body),
        }
        started = perf_counter()
        try:
            response = self._pool.request(
                "POST",
                self._url,
                body=outgoing.body,
                headers=headers,
                timeout=self._timeout,
                redirect=False,
                preload_content=False,
            )
            word = read_word(response)
        except HTTPError as error:
            elapsed = perf_counter() - started
            return Result(index, None, NO_ANSWER, elapsed, fault_text(error, self._timeout))
        return Result(index, response.status, word, perf_counter() - started)

    def send(self, outgoing: Iterable[Outgoing]) -> Sending:
        """Start posting `outgoing`; iterate over what is returned for the results as they come.

        One thread posts in order; with more, answers and arrivals may overtake each other.
        """
        return Sending(self.post, outgoing, self._concurrency, self._rate)

    def close(self) -> None:
        self._pool.clear()


class Sending(Iterator[Result]):
    """A run of posts under way. An exception of `outgoing` or of signing is raised here."""

    def __init__(
        self,
        post: Callable[[Outgoing, int], Result],
        outgoing: Iterable[Outgoing],
        concurrency: int,
        rate: float | None,
    ) -> None:
        self._post = post
        self._outgoing = enumerate(outgoing)
        self._interval = 1 / rate if rate else 0.0
        self._next_at = monotonic()
        self._claiming = threading.Lock()
        self._stopping = threading.Event()
        self._give_up_at: float | None = None
        self._results: queue.SimpleQueue[Result | BaseException | None] = queue.SimpleQueue()
        self._working = concurrency
        for number in range(concurrency):
            # Daemons: one that waits for a silent server must not keep the process.
            threading.Thread(target=self._work, name=f"send-{number}", daemon=True).start()

    def __next__(self) -> Result:
        while self._working:
            try:
                got = self._results.get(timeout=_WAKE_EVERY)
            except queue.Empty:
                if self._give_up_at is not None and monotonic() >= self._give_up_at:
                    break
                continue
            if isinstance(got, Result):
                return got
            if got is None:
                self._working -= 1
            else:
                self.stop(0)
                raise got
        raise StopIteration

    def stop(self, grace: float = 1.0) -> None:
        """Post no more; what is on its way may still be answered for `grace` seconds."""
        self._give_up_at = monotonic() + grace
        self._stopping.set()

    def _work(self) -> None:
        try:
            for index, outgoing in iter(self._claim, None):
                self._results.put(self._post(outgoing, index))
        except BaseException as error:
            self._results.put(error)
        finally:
            self._results.put(None)

    def _claim(self) -> tuple[int, Outgoing] | None:
        """The next to post, when its time has come; None when there is no more."""
        with self._claiming:
            claimed = None if self._stopping.is_set() else next(self._outgoing, None)
            now = monotonic()
            due = max(self._next_at, now - _CATCH_UP)
            self._next_at = due + self._interval
        if claimed is not None and due > now and self._stopping.wait(due - now):
            return None
        return claimed

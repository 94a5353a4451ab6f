"""What every answer of the console has in common: its headers, and the checks before it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import falcon
import structlog
from itsdangerous import BadData, URLSafeTimedSerializer

from consumer.console import answers
from consumer.console.answers import Busy, Done, Misdirected
from consumer.console.origin import Origin, Origins
from consumer.console.session import COOKIE, Session, Sessions, dumped
from consumer.console.templating import Pages
from consumer.core.errors import place_of
from consumer.core.ratelimit import RateLimit
from consumer.mongodb.deadline import within
from consumer.mongodb.ended_sessions import EndedSessions

log = structlog.get_logger(__name__)

ROOT = "/console"
_SAID = "cxone_console_said"
# How long what a deed said may wait for the page that shows it, in seconds.
_SAID_FOR = 60
_MOST_SAID = 500
_MOST_PATH = 200
# How long a page waits for others to be made, and to know whose it is, in seconds.
_PATIENCE = 2.0
# Everything from here, nothing inline, nowhere to send a form to but here.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


@dataclass(frozen=True, slots=True)
class Frame:
    """The parts that every resource of the console uses. `slots` bounds how many threads of the
    server work on pages, so that webhooks always find others; `base` is for every template."""

    pages: Pages
    sessions: Sessions
    origins: Origins
    notes: URLSafeTimedSerializer
    slots: threading.BoundedSemaphore
    ended: EndedSessions
    faults: RateLimit
    base: dict[str, Any] = field(default_factory=dict)

    def answer(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        work: Callable[[falcon.Request, falcon.Response, Origin], None],
    ) -> None:
        """Have `work` answer: after the headers are set and the host is checked, while a slot is
        held, and with whatever it raises turned into a page."""
        resp.set_headers(HEADERS)
        resp.cache_control = ["no-store"]
        origin = self.origins.of(req.env)
        try:
            with self._slot(origin):
                work(req, resp, origin)
        except Exception as error:
            self._tell(req, resp, error)

    def session(self, req: falcon.Request) -> Session | None:
        """Who is logged in; raises StoreUnavailable."""
        session = self.sessions.read(req.cookies.get(COOKIE))
        if session is None:
            return None
        with within(_PATIENCE):
            return None if self.ended.has(session.id) else session

    def knew(self, req: falcon.Request) -> bool:
        """Whether the browser brings a session that was opened here and is not over; its owner may
        have ended it."""
        return self.sessions.read(req.cookies.get(COOKIE)) is not None

    def html(self, resp: falcon.Response, text: str, status: str = falcon.HTTP_200) -> None:
        """Answer with a page, or a part of one."""
        resp.status = status
        resp.content_type = falcon.MEDIA_HTML
        # Half a surrogate pair, as a payload may hold, has no UTF-8.
        resp.data = text.encode("utf-8", "replace")

    def show(
        self,
        resp: falcon.Response,
        template: str,
        values: dict[str, Any],
        status: str = falcon.HTTP_200,
    ) -> None:
        """Answer with a template."""
        self.html(resp, self.pages.render(template, {**self.base, **values}), status)

    def cookie(
        self, resp: falcon.Response, name: str, value: str, origin: Origin, seconds: int
    ) -> None:
        """A cookie for this console alone, that no script reads and no other site sends."""
        resp.set_cookie(
            name,
            value,
            max_age=seconds,
            path=ROOT,
            secure=origin.secure,
            http_only=True,
            same_site="Strict",
        )

    def forget(self, resp: falcon.Response, name: str) -> None:
        # Like it was set; `unset_cookie` takes other arguments in each version of Falcon.
        resp.set_cookie(name, "", max_age=0, path=ROOT, http_only=True, same_site="Strict")

    def go(self, resp: falcon.Response, where: str) -> None:
        resp.status = falcon.HTTP_303
        resp.location = where

    def say(self, resp: falcon.Response, done: Done, origin: Origin) -> None:
        """Go where the deed says, and have that page show what it said."""
        note = dumped(self.notes, [done.tone, done.said[:_MOST_SAID]])
        self.cookie(resp, _SAID, note, origin, _SAID_FOR)
        self.go(resp, done.where)

    def said(self, req: falcon.Request, resp: falcon.Response) -> tuple[str, str] | None:
        """What a deed has to say, once: tone and text."""
        note = req.cookies.get(_SAID)
        if note is None:
            return None
        self.forget(resp, _SAID)
        try:
            tone, text = self.notes.loads(note, max_age=_SAID_FOR)
        except BadData:
            return None
        return tone, text

    @contextmanager
    def _slot(self, origin: Origin) -> Iterator[None]:
        if not self.origins.knows(origin):
            raise Misdirected
        if not self.slots.acquire(timeout=_PATIENCE):
            raise Busy
        try:
            yield
        finally:
            self.slots.release()

    def _tell(self, req: falcon.Request, resp: falcon.Response, error: Exception) -> None:
        problem = answers.known(error)
        if problem is None:
            # Never its text: it may quote a payload.
            kind, place = type(error).__name__, place_of(error)
            suppressed = self.faults.allow(f"{kind} {place}")
            if suppressed is not None:
                log.error(
                    "fault in console",
                    path=req.path[:_MOST_PATH],
                    error=kind,
                    place=place,
                    suppressed=suppressed,
                )
            problem = answers.FAULT
        self.show(resp, "problem.html", {"problem": problem}, problem.status)

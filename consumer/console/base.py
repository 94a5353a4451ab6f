"""Check every request of the console, and answer it: headers, pages, cookies, faults."""

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
from consumer.console.templating import Templates
from consumer.core.ratelimit import FaultLog
from consumer.mongodb.deadline import within
from consumer.mongodb.ended_sessions import EndedSessions

log = structlog.get_logger(__name__)

ROOT = "/console"
_MESSAGE_COOKIE = "cxone_console_said"
COLOURS_COOKIE = "cxone_console_colours"
# Each with what the switch leads to; empty: those of the system.
COLOURS = {"": "dark", "dark": "light", "light": ""}
# Seconds for which the message of an action may wait for the page that shows it.
_MESSAGE_SECONDS = 60
_MOST_MESSAGE = 500
_MOST_PATH = 200
# Seconds that a page waits for others to be made, and to know whose it is.
_DEADLINE = 2.0
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
class Base:
    """Shared by all resources of the console. `slots` bounds how many threads of the server work on
    pages, so that webhooks always find others; `common` values are for every template; `messages`
    signs what an action has to say."""

    templates: Templates
    sessions: Sessions
    origins: Origins
    messages: URLSafeTimedSerializer
    slots: threading.BoundedSemaphore
    ended_sessions: EndedSessions
    common: dict[str, Any] = field(default_factory=dict)
    faults: FaultLog = field(default_factory=lambda: FaultLog(log))

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
        chosen = req.cookies.get(COLOURS_COOKIE, "")
        resp.context.colours = chosen if chosen in COLOURS else ""
        origin = self.origins.of(req.env)
        try:
            with self._slot(origin):
                work(req, resp, origin)
        except Exception as error:
            self._render_problem(req, resp, error)

    def session(self, req: falcon.Request) -> Session | None:
        """The session of who is logged in; raises StoreUnavailable."""
        session = self.sessions.read(req.cookies.get(COOKIE))
        if session is None:
            return None
        with within(_DEADLINE):
            return None if self.ended_sessions.has(session.id) else session

    def had_session(self, req: falcon.Request) -> bool:
        """True when the browser brings a session that was opened here and is not over; its owner
        may have ended it."""
        return self.sessions.read(req.cookies.get(COOKIE)) is not None

    def render(
        self,
        resp: falcon.Response,
        template: str,
        values: dict[str, Any],
        status: str = falcon.HTTP_200,
    ) -> None:
        """Answer with a page, or a part of one."""
        chosen = resp.context.colours
        colours = {"colours": chosen, "next_colours": COLOURS[chosen]}
        text = self.templates.render(template, {**self.common, **colours, **values})
        resp.status = status
        resp.content_type = falcon.MEDIA_HTML
        # Half a surrogate pair, as a payload may hold, has no UTF-8.
        resp.data = text.encode("utf-8", "replace")

    def set_cookie(
        self, resp: falcon.Response, name: str, value: str, origin: Origin, seconds: int
    ) -> None:
        """Set a cookie for this console alone, that no script reads and no other site sends."""
        resp.set_cookie(
            name,
            value,
            max_age=seconds,
            path=ROOT,
            secure=origin.secure,
            http_only=True,
            same_site="Strict",
        )

    def clear_cookie(self, resp: falcon.Response, name: str) -> None:
        # Like it was set; `unset_cookie` takes other arguments in each version of Falcon.
        resp.set_cookie(name, "", max_age=0, path=ROOT, http_only=True, same_site="Strict")

    def redirect(self, resp: falcon.Response, where: str) -> None:
        resp.status = falcon.HTTP_303
        resp.location = where

    def redirect_with_message(self, resp: falcon.Response, done: Done, origin: Origin) -> None:
        """Go where the action says, and have that page show its message."""
        signed = dumped(self.messages, [done.tone, done.message[:_MOST_MESSAGE]])
        self.set_cookie(resp, _MESSAGE_COOKIE, signed, origin, _MESSAGE_SECONDS)
        self.redirect(resp, done.where)

    def take_message(self, req: falcon.Request, resp: falcon.Response) -> tuple[str, str] | None:
        """Tone and text of the message of an action, once."""
        signed = req.cookies.get(_MESSAGE_COOKIE)
        if signed is None:
            return None
        self.clear_cookie(resp, _MESSAGE_COOKIE)
        try:
            tone, text = self.messages.loads(signed, max_age=_MESSAGE_SECONDS)
        except BadData:
            return None
        return tone, text

    @contextmanager
    def _slot(self, origin: Origin) -> Iterator[None]:
        if not self.origins.knows(origin):
            raise Misdirected
        if not self.slots.acquire(timeout=_DEADLINE):
            raise Busy
        try:
            yield
        finally:
            self.slots.release()

    def _render_problem(self, req: falcon.Request, resp: falcon.Response, error: Exception) -> None:
        problem = answers.known(error)
        if problem is None:
            self.faults.add("fault in console", error, path=req.path[:_MOST_PATH])
            problem = answers.FAULT
        self.render(resp, "problem.html", {"problem": problem}, problem.status)

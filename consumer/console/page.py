"""Serve one screen to who is logged in, and check an action before it is done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import falcon

from consumer.console.answers import Done, Download, Foreign, Invalid
from consumer.console.base import ROOT, Base
from consumer.console.context import Context
from consumer.console.origin import Origin
from consumer.console.request import FORM_BYTES, Fields, Request, form, query
from consumer.console.session import Session
from consumer.mongodb.deadline import within

# Seconds that reading a page may take in MongoDB, all its queries together.
_DEADLINE = 4.0
# A page that is live asks with this header for the part of it that changes.
_FRAGMENT = "X-Console-Fragment"

Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Screen:
    """A row of `routes.SCREENS`. `path` is what follows /console. `nav` is its title in the
    navigation, or empty; `under` the path of the screen that is lit there instead of it. `template`
    is empty where it only downloads. `view` reads what it shows, `act` does what its forms ask."""

    path: str
    title: str
    template: str
    view: Callable[[Context, Request], Values | Download]
    act: Callable[[Context, Request], Done | Values] | None = None
    nav: str = ""
    under: str = ""
    form_bytes: int = FORM_BYTES

    @property
    def lit(self) -> str:
        return self.under or self.path


class Page:
    """One screen as a Falcon resource."""

    def __init__(self, base: Base, context: Context, screen: Screen) -> None:
        self._base = base
        self._context = context
        self._screen = screen

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        self._base.answer(req, resp, self._get)

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        self._base.answer(req, resp, self._post)

    def _get(self, req: falcon.Request, resp: falcon.Response, origin: Origin) -> None:
        session = self._base.session(req)
        if session is None:
            self._to_login(req, resp)
            return
        request = self._request(req, session, Fields([]), origin)
        with within(_DEADLINE):
            found = self._screen.view(self._context, request)
        if isinstance(found, Download):
            _download(resp, found)
        else:
            self._render(req, resp, request, found)

    def _post(self, req: falcon.Request, resp: falcon.Response, origin: Origin) -> None:
        session = self._base.session(req)
        if session is None:
            self._base.redirect(resp, f"{ROOT}/login")
            return
        sent = form(req, self._screen.form_bytes)
        own = self._base.origins.is_own(req.env)
        if not own or not self._base.sessions.allows(session, sent.get("csrf", "")):
            raise Foreign
        if self._screen.act is None:
            raise Invalid("There is nothing to do here.")
        request = self._request(req, session, sent, origin)
        ended = self._screen.act(self._context, request)
        if isinstance(ended, Done):
            self._base.redirect_with_message(resp, ended, origin)
        else:
            self._render(req, resp, request, ended)

    def _to_login(self, req: falcon.Request, resp: falcon.Response) -> None:
        if req.get_header(_FRAGMENT):
            resp.status = falcon.HTTP_401
            return
        here = req.path + (f"?{req.query_string}" if req.query_string else "")
        if req.get_header("Sec-Fetch-Site") == "cross-site":
            # A link from elsewhere brings no SameSite=Strict cookie; going on from our page does.
            self._base.render(resp, "enter.html", {"here": here})
        else:
            self._base.redirect(resp, f"{ROOT}/login?next={quote(here, safe='')}")

    def _request(
        self, req: falcon.Request, session: Session, sent: Fields, origin: Origin
    ) -> Request:
        now = self._context.clock()

        def record(what: str, **details: object) -> None:
            details["client"] = origin.client
            self._context.audit.record(session.who, what, now, details)

        def seal(text: str) -> str:
            return self._base.sessions.seal(session, text)

        is_fragment = bool(req.get_header(_FRAGMENT))
        return Request(req.path, query(req), sent, session, now, is_fragment, record, seal)

    def _render(
        self, req: falcon.Request, resp: falcon.Response, request: Request, found: Values
    ) -> None:
        values = {"screen": self._screen, "request": request, "now": request.now, **found}
        # A fragment has no place to show it.
        values["message"] = None if request.fragment else self._base.take_message(req, resp)
        self._base.render(resp, self._screen.template, values)


def _download(resp: falcon.Response, found: Download) -> None:
    resp.content_type = found.content_type
    resp.downloadable_as = found.name
    resp.data = found.body

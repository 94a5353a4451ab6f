"""Serve one screen to who is logged in, and check a deed before it is done."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import falcon

from consumer.console.answers import Done, Download, Foreign, Invalid
from consumer.console.base import ROOT, Frame
from consumer.console.context import Parts
from consumer.console.origin import Origin
from consumer.console.request import Fields, Request, form, query
from consumer.console.screen import Screen
from consumer.console.session import Session
from consumer.mongodb.deadline import within

# Seconds that reading a page may take in MongoDB, all its queries together.
_PATIENCE = 4.0
FRAGMENT = "X-Console-Fragment"


class Page:
    """One screen as a Falcon resource."""

    def __init__(self, frame: Frame, parts: Parts, screen: Screen) -> None:
        self._frame = frame
        self._parts = parts
        self._screen = screen

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        self._frame.answer(req, resp, self._get)

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        self._frame.answer(req, resp, self._post)

    def _get(self, req: falcon.Request, resp: falcon.Response, origin: Origin) -> None:
        session = self._frame.session(req)
        if session is None:
            self._to_login(req, resp)
            return
        request = self._request(req, session, Fields([]), origin)
        with within(_PATIENCE):
            found = self._screen.show(self._parts, request)
        if isinstance(found, Download):
            _download(resp, found)
        else:
            self._show(req, resp, request, found)

    def _post(self, req: falcon.Request, resp: falcon.Response, origin: Origin) -> None:
        session = self._frame.session(req)
        if session is None:
            self._frame.go(resp, f"{ROOT}/login")
            return
        sent = form(req, self._screen.form_bytes)
        own = self._frame.origins.is_own(req.env)
        if not own or not self._frame.sessions.allows(session, sent.get("csrf", "")):
            raise Foreign
        if self._screen.act is None:
            raise Invalid("There is nothing to do here.")
        request = self._request(req, session, sent, origin)
        ended = self._screen.act(self._parts, request)
        if isinstance(ended, Done):
            self._frame.say(resp, ended, origin)
        else:
            self._show(req, resp, request, ended)

    def _to_login(self, req: falcon.Request, resp: falcon.Response) -> None:
        if req.get_header(FRAGMENT):
            resp.status = falcon.HTTP_401
            return
        here = req.path + (f"?{req.query_string}" if req.query_string else "")
        if req.get_header("Sec-Fetch-Site") == "cross-site":
            # A link from elsewhere brings no SameSite=Strict cookie; going on from our page does.
            self._frame.show(resp, "enter.html", {"here": here})
        else:
            self._frame.go(resp, f"{ROOT}/login?next={quote(here, safe='')}")

    def _request(
        self, req: falcon.Request, session: Session, sent: Fields, origin: Origin
    ) -> Request:
        now = self._parts.clock()

        def record(what: str, **details: object) -> None:
            told = {**details, "client": origin.client}
            self._parts.audit.record(session.who, what, now, told)

        def seal(text: str) -> str:
            return self._frame.sessions.seal(session, text)

        is_fragment = bool(req.get_header(FRAGMENT))
        return Request(req.path, query(req), sent, session, now, is_fragment, record, seal)

    def _show(
        self, req: falcon.Request, resp: falcon.Response, request: Request, found: dict[str, Any]
    ) -> None:
        values = {"screen": self._screen, "request": request, "now": request.now, **found}
        # A fragment has no place to show it.
        values["said"] = None if request.fragment else self._frame.said(req, resp)
        self._frame.show(resp, self._screen.template, values)


def _download(resp: falcon.Response, found: Download) -> None:
    resp.content_type = found.content_type
    resp.downloadable_as = found.name
    resp.data = found.body

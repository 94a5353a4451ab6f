"""Log in and out, and serve the files that the login page needs too."""

from __future__ import annotations

import falcon
import structlog

from consumer.console.answers import Foreign
from consumer.console.base import HEADERS, ROOT, Frame
from consumer.console.context import Parts
from consumer.console.origin import Origin
from consumer.console.request import form, inside, query
from consumer.console.screen import FORM_BYTES
from consumer.console.session import COOKIE, audit_name, clean_name
from consumer.console.templating import Assets
from consumer.console.throttle import Throttle

log = structlog.get_logger(__name__)


class Login:
    """`/console/login`: a name for the audit, and the password."""

    def __init__(self, frame: Frame, parts: Parts, throttle: Throttle) -> None:
        self._frame = frame
        self._parts = parts
        self._throttle = throttle

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        self._frame.answer(req, resp, self._get)

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        self._frame.answer(req, resp, self._post)

    def _get(self, req: falcon.Request, resp: falcon.Response, _origin: Origin) -> None:
        where = inside(query(req).get("next", ""))
        if self._frame.session(req) is not None:
            self._frame.go(resp, where)
        else:
            self._show(resp, where)

    def _post(self, req: falcon.Request, resp: falcon.Response, origin: Origin) -> None:
        sent = form(req, FORM_BYTES)
        if not self._frame.origins.is_own(req.env):
            raise Foreign
        where, name = inside(sent.get("next", "")), clean_name(sent.get("name", ""))
        wait = self._throttle.take(origin.client, knew=self._frame.knew(req))
        if wait is not None:
            seconds = int(wait) + 1
            resp.set_header("Retry-After", str(seconds))
            fault = f"Too many tries: wait {seconds} seconds."
            self._show(resp, where, name, fault, "429 Too Many Requests")
        elif not self._frame.sessions.knows(sent.get("password", "")):
            log.warning("wrong password for the console", client=origin.client)
            self._show(resp, where, name, "That is not the password.", falcon.HTTP_403)
        else:
            self._throttle.forgive(origin.client)
            self._enter(resp, where, name, origin)

    def _enter(self, resp: falcon.Response, where: str, name: str, origin: Origin) -> None:
        now, details = self._parts.clock(), {"client": origin.client}
        self._parts.audit.record(audit_name(name), "console login", now, details)
        sessions = self._frame.sessions
        self._frame.cookie(resp, COOKIE, sessions.open(name), origin, sessions.seconds)
        self._frame.go(resp, where)

    def _show(
        self,
        resp: falcon.Response,
        where: str,
        name: str = "",
        fault: str = "",
        status: str = falcon.HTTP_200,
    ) -> None:
        values = {"next": where, "name": name, "fault": fault}
        self._frame.show(resp, "login.html", values, status)


class Logout:
    """`POST /console/logout`."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        self._frame.answer(req, resp, self._post)

    def _post(self, req: falcon.Request, resp: falcon.Response, _origin: Origin) -> None:
        session = self._frame.session(req)
        token = form(req, FORM_BYTES).get("csrf", "")
        if session is not None and not self._frame.sessions.allows(session, token):
            raise Foreign
        # Also where MongoDB is away and cannot tell the other processes.
        self._frame.forget(resp, COOKIE)
        if session is not None:
            self._frame.ended.end(session.id, session.ends_at)
        self._frame.go(resp, f"{ROOT}/login")


class Static:
    """`/console/static/{name}`: the same for everybody, and for long."""

    def __init__(self, assets: Assets) -> None:
        self._assets = assets

    def on_get(self, _req: falcon.Request, resp: falcon.Response, name: str) -> None:
        body = self._assets.body(name)
        if body is None:
            raise falcon.HTTPNotFound
        resp.set_headers(HEADERS)
        # Its address changes with it.
        resp.cache_control = ["public", "max-age=31536000", "immutable"]
        resp.content_type = self._assets.content_type(name)
        resp.data = body

"""Log in and out, choose colours, and serve what needs nobody logged in."""

from __future__ import annotations

import falcon
import structlog

from consumer.console.answers import Foreign, Missing
from consumer.console.base import COLOURS, COLOURS_COOKIE, HEADERS, ROOT, Base
from consumer.console.context import Context
from consumer.console.origin import Origin
from consumer.console.request import FORM_BYTES, form, inside, query
from consumer.console.session import COOKIE, audit_name, clean_name
from consumer.console.templating import Assets
from consumer.core.throttle import Throttle

log = structlog.get_logger(__name__)

_YEAR = 365 * 86_400


class Login:
    """`/console/login`: a name for the audit, and the password."""

    def __init__(self, base: Base, context: Context, throttle: Throttle) -> None:
        self._base = base
        self._context = context
        self._throttle = throttle

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        self._base.answer(req, resp, self._get)

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        self._base.answer(req, resp, self._post)

    def _get(self, req: falcon.Request, resp: falcon.Response, _origin: Origin) -> None:
        where = inside(query(req).get("next", ""))
        if self._base.session(req) is not None:
            self._base.redirect(resp, where)
        else:
            self._render(resp, where)

    def _post(self, req: falcon.Request, resp: falcon.Response, origin: Origin) -> None:
        sent = form(req, FORM_BYTES)
        if not self._base.origins.is_own(req.env):
            raise Foreign
        where, name = inside(sent.get("next", "")), clean_name(sent.get("name", ""))
        wait = self._throttle.take(origin.client, known=self._base.had_session(req))
        if wait is not None:
            seconds = int(wait) + 1
            resp.set_header("Retry-After", str(seconds))
            fault = f"Too many tries: wait {seconds} seconds."
            self._render(resp, where, name, fault, "429 Too Many Requests")
        elif not self._base.sessions.knows(sent.get("password", "")):
            log.warning("wrong password for the console", client=origin.client)
            self._render(resp, where, name, "That is not the password.", falcon.HTTP_403)
        else:
            self._throttle.forgive(origin.client)
            self._open_session(resp, where, name, origin)

    def _open_session(self, resp: falcon.Response, where: str, name: str, origin: Origin) -> None:
        now, details = self._context.clock(), {"client": origin.client}
        self._context.audit.record(audit_name(name), "console login", now, details)
        sessions = self._base.sessions
        self._base.set_cookie(resp, COOKIE, sessions.open(name), origin, sessions.seconds)
        self._base.redirect(resp, where)

    def _render(
        self,
        resp: falcon.Response,
        where: str,
        name: str = "",
        fault: str = "",
        status: str = falcon.HTTP_200,
    ) -> None:
        values = {"next": where, "name": name, "fault": fault}
        self._base.render(resp, "login.html", values, status)


class Logout:
    """`POST /console/logout`."""

    def __init__(self, base: Base) -> None:
        self._base = base

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        self._base.answer(req, resp, self._post)

    def _post(self, req: falcon.Request, resp: falcon.Response, _origin: Origin) -> None:
        session = self._base.session(req)
        token = form(req, FORM_BYTES).get("csrf", "")
        if session is not None and not self._base.sessions.allows(session, token):
            raise Foreign
        # Also where MongoDB is away and cannot tell the other processes.
        self._base.clear_cookie(resp, COOKIE)
        if session is not None:
            self._base.ended_sessions.end(session.id, session.ends_at)
        self._base.redirect(resp, f"{ROOT}/login")


class Colours:
    """`POST /console/colours`: those of the system, dark or light, for this browser."""

    def __init__(self, base: Base) -> None:
        self._base = base

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        self._base.answer(req, resp, self._post)

    def _post(self, req: falcon.Request, resp: falcon.Response, origin: Origin) -> None:
        sent = form(req, FORM_BYTES)
        chosen = sent.get("colours", "")
        if chosen not in COLOURS or not self._base.origins.is_own(req.env):
            raise Foreign
        self._base.set_cookie(resp, COLOURS_COOKIE, chosen, origin, _YEAR)
        self._base.redirect(resp, inside(sent.get("next", "")))


class Nothing:
    """Every other path below /console: a page that says so."""

    def __init__(self, base: Base) -> None:
        self._base = base

    def on_get(self, req: falcon.Request, resp: falcon.Response, **_: str) -> None:
        self._base.answer(req, resp, self._get)

    def _get(self, _req: falcon.Request, _resp: falcon.Response, _origin: Origin) -> None:
        raise Missing("The console has no page at this address.")


class Home:
    """`/`: on to the console."""

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        resp.set_headers(HEADERS)
        resp.status = falcon.HTTP_303
        resp.location = ROOT


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

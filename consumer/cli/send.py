"""`send`: post signed bodies like CXone does, with other ids if asked, and count the answers."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from time import perf_counter
from typing import Annotated, Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from config.loading import Settings
from consumer.cli.bodies import read_bodies
from consumer.cli.console import error_console
from consumer.cli.context import AsJson, load_settings
from consumer.cli.send_report import Report
from consumer.cli.sign import SECRET, signer
from consumer.core.clock import utc_now
from consumer.demo.client import Outgoing, Sender, Sending, Sign
from consumer.demo.results import Result, Tally
from consumer.http.webhook import ROUTE

_UNANSWERED_LIMIT = 10
# Above, programs that read numbers as doubles would see two ids as one.
_EXACT = 2**53 - 1


def send(
    ctx: typer.Context,
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...", help="JSON files, .jsonl with one body a line, or - for stdin."
        ),
    ],
    *,
    url: Annotated[
        str | None, typer.Option(help="Where to post; otherwise the address in CXONE_LISTEN.")
    ] = None,
    repeat: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="Send everything so many times.")
    ] = 1,
    fresh_ids: Annotated[
        bool, typer.Option("--fresh-ids", help="Give each a new id, so that none is a duplicate.")
    ] = False,
    concurrency: Annotated[
        int, typer.Option(min=1, max=256, help="Connections that post at the same time.")
    ] = 1,
    rate: Annotated[
        float | None, typer.Option(min=0.01, max=100_000, help="Posts a second, at most.")
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=0.1, max=600, help="Seconds to wait for an answer.")
    ] = 30.0,
    bad_signature: Annotated[
        bool, typer.Option("--bad-signature", help="Sign with a wrong secret, to see it refused.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Post FILEs byte for byte, signed with CXONE_SHARED_SECRET, and count the answers.

    The secret comes from the settings only.

    Exit status: 0 all were answered 2xx, 1 some were not,
    2 wrong usage or settings, 130 interrupted (what was sent is still counted).
    """
    settings = load_settings(ctx, [] if bad_signature else [SECRET])
    target = checked_url(url) if url else default_url(settings.cxone_listen)
    bodies = read_bodies(files)
    if fresh_ids:
        _check_ids(bodies, settings)
    sign = signer(settings, utc_now, secrets.token_bytes(32) if bad_signature else None)
    id_field = settings.id_field if fresh_ids else None
    tally = Tally()
    started = perf_counter()
    with closing(Sender(target, concurrency=concurrency, timeout=timeout, rate=rate)) as sender:
        sending = sender.send(_outgoing(bodies, repeat, sign, id_field))
        interrupted = _collect(sending, tally, len(bodies) * repeat)
    report = Report(
        tally.summary(perf_counter() - started), target, len(bodies) * repeat, interrupted
    )
    report.print(as_json=as_json)
    return report.exit_status


def default_url(listen: str) -> str:
    """The webhook of a server on this machine that listens on `listen` (host:port)."""
    host, _, port = listen.rpartition(":")
    # These mean every interface; a client has to name one.
    host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]", "": "127.0.0.1"}.get(host, host)  # noqa: S104
    return f"http://{host}:{port}{ROUTE}"


def checked_url(url: str) -> str:
    """`url`, with the webhook's path where it has none; raises typer.BadParameter (exit 2)."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not url.isascii() or not url.isprintable() or " " in url:
        raise typer.BadParameter(f"--url must look like http://127.0.0.1:8080{ROUTE}")
    if "@" in parts.netloc:
        raise typer.BadParameter("--url must not hold a user or password: others can see it")
    return parts._replace(path=ROUTE).geturl() if parts.path in ("", "/") else url


def _check_ids(bodies: Sequence[bytes], settings: Settings) -> None:
    field = settings.id_field
    for number, body in enumerate(bodies, start=1):
        if with_fresh_id(body, field, uuid4) is None:
            raise typer.BadParameter(
                f"body {number} has no id in {field!r} (CXONE_ID_FIELD) that could be replaced: "
                "leave out --fresh-ids to send it as it is"
            )


def _outgoing(
    bodies: Sequence[bytes], repeat: int, sign: Sign, id_field: str | None
) -> Iterator[Outgoing]:
    for _ in range(repeat):
        for body in bodies:
            fresh = with_fresh_id(body, id_field, uuid4) if id_field else None
            yield Outgoing(fresh or body, sign)


def _collect(sending: Sending, tally: Tally, total: int) -> bool:
    """Count results until all came, nobody answers, or Ctrl-C; True when it was Ctrl-C."""
    err = error_console()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    interrupted = False
    with Progress(*columns, console=err, disable=not err.is_terminal, transient=True) as progress:
        task = progress.add_task("sending", total=total)

        def count(result: Result) -> None:
            tally.add(result)
            progress.advance(task)

        try:
            for result in sending:
                count(result)
                if tally.posts == _UNANSWERED_LIMIT and not tally.answered:
                    sending.stop()
        except KeyboardInterrupt:
            interrupted = True
            sending.stop()
            for result in sending:
                count(result)
    return interrupted


def with_fresh_id(body: bytes, field: str, new_id: Callable[[], UUID]) -> bytes | None:
    """The body with a new id in `field` (a key, or a JSON Pointer from `/` on), of the type the old
    one had, for another type would be a change of the schema.

    Everything else keeps its value; blanks do not matter to JSON and go. None when there is no
    such id to replace.
    """
    try:
        event = json.loads(body)
        holder, key = _holder(event, field)
        old = holder[key]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    if isinstance(old, str):
        holder[key] = str(new_id())
    elif isinstance(old, int) and not isinstance(old, bool):
        holder[key] = new_id().int & _EXACT
    else:
        return None
    try:
        return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        # Half a surrogate pair: only its escape can be sent.
        return json.dumps(event, separators=(",", ":")).encode()


def _holder(event: Any, field: str) -> tuple[Any, Any]:
    """The object (or array) that holds the id, and its key there; RFC 6901 for pointers."""
    if not field.startswith("/"):
        return event, field
    *path, last = (step.replace("~1", "/").replace("~0", "~") for step in field[1:].split("/"))
    for step in path:
        event = event[int(step) if isinstance(event, list) else step]
    return event, int(last) if isinstance(event, list) else last

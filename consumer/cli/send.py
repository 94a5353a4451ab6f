"""`send`: post bodies as the sender of a source does, and count the answers."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit
from uuid import uuid4

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from config.sources import MAIN_PATH, SourceSettings
from consumer.cli.as_source import AsSource, required, source_named, token_getter
from consumer.cli.bodies import read_bodies
from consumer.cli.console import error_console
from consumer.cli.context import AsJson, load_settings
from consumer.cli.fresh_ids import freshened
from consumer.cli.send_report import Report
from consumer.core.clock import utc_now
from consumer.core.delivery import MAIN
from consumer.demo.client import Outgoing, Sender, Sending
from consumer.demo.results import Result, Tally

if TYPE_CHECKING:
    from consumer.runtime.proving import Prove

_UNANSWERED_LIMIT = 10


def send(
    ctx: typer.Context,
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...", help="JSON files, .jsonl with one body a line, or - for stdin."
        ),
    ],
    *,
    source: AsSource = MAIN,
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
    headers: Annotated[
        list[str] | None,
        typer.Option(
            "--header",
            metavar="NAME:VALUE",
            help="Send this header too, like one with the id or type; may be repeated.",
        ),
    ] = None,
    bad_signature: Annotated[
        bool, typer.Option("--bad-signature", help="Prove with a wrong secret, to see it refused.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Post FILEs byte for byte, signed with CXONE_SHARED_SECRET, and count the answers.

    With --source to the path of that source and with its proof: a signature, its token, its
    password, or an access token from /oauth2/token. Secrets come from the settings only.

    Exit status: 0 all were answered 2xx, 1 some were not,
    2 wrong usage or settings, 130 interrupted (what was sent is still counted).
    """
    from consumer.runtime.proving import prover

    settings = load_settings(ctx, [] if bad_signature else required(source))
    sender_of = source_named(settings, source)
    path = sender_of.path
    target = checked_url(url, path) if url else default_url(settings.cxone_listen, path)
    bodies = read_bodies(files)
    if fresh_ids:
        _check_ids(bodies, sender_of)
    wrong = secrets.token_hex(32) if bad_signature else None
    token = token_getter(source, sender_of, target, timeout)
    prove = prover(
        source,
        sender_of,
        utc_now,
        token if wrong is None else lambda: wrong,
        None if wrong is None else wrong.encode(),
    )
    also = extra_headers(headers or [], sender_of)
    places = sender_of.places_of_id if fresh_ids else ()
    tally = Tally()
    started = perf_counter()
    with closing(Sender(target, concurrency=concurrency, timeout=timeout, rate=rate)) as sender:
        sending = sender.send(_outgoing(bodies, repeat, prove, also, places))
        interrupted = _collect(sending, tally, len(bodies) * repeat)
    report = Report(
        tally.summary(perf_counter() - started),
        target,
        len(bodies) * repeat,
        interrupted,
        source,
        path,
    )
    report.print(as_json=as_json)
    return report.exit_status


def default_url(listen: str, path: str = MAIN_PATH) -> str:
    """The address of a path of a server on this machine that listens on `listen` (host:port)."""
    host, _, port = listen.rpartition(":")
    # These mean every interface; a client has to name one.
    host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]", "": "127.0.0.1"}.get(host, host)  # noqa: S104
    return f"http://{host}:{port}{path}"


def checked_url(url: str, path: str = MAIN_PATH) -> str:
    """`url`, with the path where it has none; raises typer.BadParameter (exit 2)."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not url.isascii() or not url.isprintable() or " " in url:
        raise typer.BadParameter(f"--url must look like http://127.0.0.1:8080{path}")
    if "@" in parts.netloc:
        raise typer.BadParameter("--url must not hold a user or password: others can see it")
    return parts._replace(path=path).geturl() if parts.path in ("", "/") else url


def extra_headers(given: Sequence[str], source: SourceSettings) -> dict[str, str]:
    """The headers of `NAME:VALUE` texts, their names in lower case; raises typer.BadParameter."""
    made = {source.header_name, source.timestamp_header, source.id_header} - {None}
    found: dict[str, str] = {}
    for text in given:
        name, colon, value = text.partition(":")
        value = value.strip(" \t")
        if not colon or not _is_header(name) or not (value.isascii() and value.isprintable()):
            raise typer.BadParameter("--header must look like X-Event-Type: contact.created")
        if name.lower() in {each.lower() for each in made if each}:
            raise typer.BadParameter(f"--header {name} is made by the proof of the source")
        found[name.lower()] = value
    return found


def _is_header(name: str) -> bool:
    return name.isascii() and name.replace("-", "").isalnum()


def _check_ids(bodies: Sequence[bytes], source: SourceSettings) -> None:
    for number, body in enumerate(bodies, start=1):
        if freshened(body, source.places_of_id, uuid4) is None:
            raise typer.BadParameter(
                f"body {number} has no id in {source.id!r} that could be"
                " replaced: leave out --fresh-ids to send it as it is"
            )


def _outgoing(
    bodies: Sequence[bytes],
    repeat: int,
    prove: Prove,
    also: Mapping[str, str],
    places: Sequence[str],
) -> Iterator[Outgoing]:
    for _ in range(repeat):
        for body in bodies:
            fresh, identity = (places and freshened(body, places, uuid4)) or (body, {})
            headers = {**also, **identity}
            yield Outgoing(fresh, partial(_headers, headers, prove))


def _headers(also: Mapping[str, str], prove: Prove, body: bytes) -> dict[str, str]:
    proven = prove(body)
    made = {name.lower() for name in proven}
    return {**{name: value for name, value in also.items() if name not in made}, **proven}


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

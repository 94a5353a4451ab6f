"""`status`: the state of the service in all its processes, or of this machine without MongoDB."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from config.loading import Settings
from consumer.cli.console import console, print_json, shown
from consumer.cli.context import AsJson, load_settings, open_shared
from consumer.cli.status_view import Section, screen, sections, spool_words
from consumer.core.clock import utc_now
from consumer.core.data_dir import owner_of
from consumer.core.errors import SetupError, StoreUnavailable
from consumer.ingest.signature import fingerprint

if TYPE_CHECKING:
    from consumer.monitoring.overview import Overview
    from consumer.monitoring.secret_use import SecretUse

# Columns and lines where there is no terminal to ask.
_PAPER = (100, 40)
# Seconds and bytes for an answer to /readyz; whatever else listens there may say more.
_TIMEOUT = 2.0
_MOST_BYTES = 64 * 1024


def status(
    ctx: typer.Context,
    as_json: AsJson = False,
    uri: Annotated[
        bool,
        typer.Option(
            "--uri",
            help="Print only the URI of MongoDB, for mongosh and Compass; its password is in it.",
        ),
    ] = False,
) -> None:
    """Show processes, jobs, MongoDB, dead letters, spools, Datadog and schemas."""
    from consumer.mongodb.client import INSTANCES, SECRET_USE
    from consumer.mongodb.errors import translated
    from consumer.monitoring.instances import Instances
    from consumer.monitoring.overview import gather
    from consumer.monitoring.secret_use import SecretUse
    from consumer.runtime.fleet import differences
    from consumer.runtime.settings_map import mongodb_uri

    settings = load_settings(ctx)
    if uri:
        typer.echo(mongodb_uri(settings))
        return
    try:
        with translated(settings.mongodb_database), open_shared(settings) as shared:
            overview = gather(
                shared.client, shared.database, shared.registry, shared.dead_letters.depths
            )
            contradictions = shared.registry.contradictions()
            processes = Instances(shared.database[INSTANCES]).all()
            sources = _sources(settings, SecretUse(shared.database[SECRET_USE]))
    except StoreUnavailable as error:
        found = local_facts(settings)
        if as_json:
            print_json({"at": utc_now(), "mongodb": None, "error": str(error), "here": found})
        else:
            _print_sections(local_sections(found))
        raise
    if as_json:
        listed = [{"finding": each.finding, "remedy": each.remedy} for each in contradictions]
        print_json({**as_plain(overview), "contradictions": listed, "sources": sources})
        return
    remedies = [f"{each.finding}: `{each.remedy}`" for each in contradictions]
    # Of an installation without sources nothing more is said.
    if sources:
        remedies += differences(settings, processes)
    rows = [
        f"{each['name']}: {each['proof']} at {each['path']}, "
        + (f"last at {shown(each['last_used'])}" if each["last_used"] else "nothing came yet")
        for each in sources
    ]
    of_sources = [Section(f"Sources: main and {len(rows)} more", rows)] if rows else []
    _print_sections([*sections(overview, remedies), *of_sources])


def _sources(settings: Settings, uses: SecretUse) -> list[dict[str, Any]]:
    """The sources beside the main one, with the deliveries that their secrets of now have proven,
    and when the last of these came."""
    from consumer.runtime.settings_map import shared_secrets

    found: list[dict[str, Any]] = []
    for name, source in settings.sources.items():
        known = [uses.of(fingerprint(secret.key)) for secret in shared_secrets(source)]
        used = [use for use in known if use is not None]
        times = [use.last_used for use in used if use.last_used is not None]
        found.append(
            {
                "name": name,
                "path": source.path,
                "proof": source.proof,
                "deliveries": sum(use.deliveries for use in used),
                "last_used": max(times, default=None),
            }
        )
    return found


def _print_sections(parts: Iterable[Section]) -> None:
    out = console()
    width, height = out.size if out.is_terminal else _PAPER
    # A line is left for the prompt.
    for line in screen(list(parts), width, height - 1):
        out.print(line, soft_wrap=True)


def as_plain(overview: Overview) -> dict[str, Any]:
    """The overview for programs, with the state of each process spelled out."""
    return {
        "at": overview.at,
        "mongodb": overview.store,
        "instances": [
            {
                "id": process.id,
                "host": process.host,
                "pid": process.pid,
                "version": process.version,
                "state": process.state,
                "started": process.started,
                "silent_seconds": round(process.silent, 1),
                "spool": process.spool,
            }
            for process in overview.instances
        ],
        "jobs": overview.jobs,
        "dead_letters": overview.dead_letters,
        "datadog": overview.datadog,
        "subjects": overview.subjects,
        "clocks": overview.clocks,
    }


def local_facts(settings: Settings) -> dict[str, Any]:
    """Facts without MongoDB: the owner of the data directory, the answer of its service at /readyz,
    and the spool; None for what cannot be known."""
    return {
        "data_dir": str(settings.cxone_data_dir.absolute()),
        "owner": owner_of(settings.cxone_data_dir),
        "ready": _ready(settings.cxone_listen),
        "spool": _spool(settings),
    }


def local_sections(found: dict[str, Any]) -> Iterator[Section]:
    """Lay the facts out for people."""
    yield Section("MongoDB does not tell; what this machine knows:")
    user = found["owner"] or "nobody"
    yield Section(f"The data directory {found['data_dir']} is used by {user}.")
    ready = found["ready"]
    if ready is not None:
        parts = {name: part for name, part in ready.items() if isinstance(part, dict)}
        rows = [
            f"{name}: {'ok' if part.get('ok') else 'not ok'}, {part.get('detail', '')}"
            for name, part in sorted(parts.items(), key=lambda item: bool(item[1].get("ok")))
        ]
        yield Section(f"The service says at /readyz that it is {ready.get('status')}.", rows)
    yield Section(f"Spool: {spool_words(found['spool']) or 'cannot be read'}")


def _spool(settings: Settings) -> dict[str, Any] | None:
    from consumer.spool.survey import directory_in, survey

    try:
        found = survey(directory_in(settings.cxone_data_dir))
    except SetupError:
        return None
    fault = f"{found.damaged} damaged set aside" if found.damaged else None
    return {"depth": found.depth, "bytes": found.bytes, "oldest": found.oldest, "fault": fault}


def _ready(listen: str) -> dict[str, Any] | None:
    import urllib3

    host, _, port = listen.rpartition(":")
    # A service that listens everywhere answers on loopback too.
    local = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)  # noqa: S104
    try:
        with urllib3.PoolManager(timeout=_TIMEOUT, retries=False) as pool:
            reply = pool.request(
                "GET", f"http://{local}:{port}/readyz", redirect=False, preload_content=False
            )
            answer = json.loads(reply.read(_MOST_BYTES))
            reply.close()
    except (urllib3.exceptions.HTTPError, ValueError):
        return None
    return answer if isinstance(answer, dict) and "status" in answer else None

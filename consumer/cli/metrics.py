"""`metrics`: show or write the dashboards and monitors to import at Datadog and Grafana."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from consumer.cli.console import console, print_json, table
from consumer.core.errors import SetupError
from consumer.core.text import safe
from consumer.monitoring.datadog.assets import Asset, assets, folder
from consumer.monitoring.grafana import dashboard


def show_assets(
    out: Annotated[
        Path | None, typer.Option(help="Write the files into this folder.", metavar="DIR")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print everything as one JSON document.")
    ] = False,
) -> None:
    """Show the dashboards for Datadog and Grafana and the monitors, or write them out."""
    found = [*assets(), Asset("grafana.json", json.dumps(dashboard(), indent=2) + "\n")]
    written = _write(found, out) if out else {}
    if as_json:
        print_json(
            {
                "folder": str(folder()),
                "written": sorted(map(str, written.values())),
                "assets": {asset.name: json.loads(asset.text) for asset in found},
            }
        )
        return
    files = written or {asset.name: folder() / asset.name for asset in assets()}
    console().print(
        table(
            ("file", "what", "title"),
            [
                (files.get(asset.name, asset.name), asset.kind, _title(json.loads(asset.text)))
                for asset in found
            ],
            title="Written" if out else "Shipped; --out DIR writes them",
        )
    )
    console().print(
        "Datadog: import the dashboard with New Dashboard > Import dashboard JSON, a monitor with"
        " Monitors > New Monitor > Import, or post them to /api/v1/dashboard and /api/v1/monitor.\n"
        "Grafana: Dashboards > New > Import; a variable at its top chooses the Prometheus.",
        soft_wrap=True,
    )


def _title(document: dict[str, str]) -> str:
    return document.get("title") or document.get("name") or ""


def _write(found: list[Asset], out: Path) -> dict[str, Path]:
    """Files by name; raises SetupError where they cannot be written."""
    written = {asset.name: out / asset.name for asset in found}
    try:
        out.mkdir(parents=True, exist_ok=True)
        for asset in found:
            written[asset.name].write_text(asset.text, encoding="utf-8", newline="\n")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise SetupError(
            f"cannot write to {safe(str(out))}: {reason}; name another --out"
        ) from error
    return written

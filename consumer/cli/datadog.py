"""`datadog`: show or write the dashboard and monitors to import there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from consumer.cli.console import console, print_json, table
from consumer.core.errors import SetupError
from consumer.core.text import safe
from consumer.monitoring.datadog.assets import Asset, assets, folder


def show_assets(
    out: Annotated[
        Path | None, typer.Option(help="Write the files into this folder.", metavar="DIR")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print everything as one JSON document.")
    ] = False,
) -> None:
    """Show the dashboard and the monitors that are shipped, or write them out."""
    found = list(assets())
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
    where = out or folder()
    console().print(
        table(
            ("file", "what", "title"),
            [(where / asset.name, asset.kind, _title(json.loads(asset.text))) for asset in found],
            title="Written for Datadog" if out else "Shipped for Datadog",
        )
    )
    console().print(
        "Import the dashboard with New Dashboard > Import dashboard JSON, a monitor with"
        " Monitors > New Monitor > Import, or post them to /api/v1/dashboard and /api/v1/monitor.",
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

"""`sign`: print the headers that prove the bytes of a file, for curl and for other senders."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from consumer.cli.as_source import AsSource, required, source_named
from consumer.cli.bodies import read_body
from consumer.cli.console import error_console, print_json
from consumer.cli.context import AsJson, load_settings
from consumer.core.clock import utc_now
from consumer.core.delivery import MAIN
from consumer.ingest.oauth2 import issue


def sign(
    ctx: typer.Context,
    file: Annotated[str, typer.Argument(help="The file whose bytes to sign; - is standard input.")],
    *,
    source: AsSource = MAIN,
    reveal: Annotated[
        bool, typer.Option("--reveal", help="Print a header that holds the secret itself.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write to a new file; on Linux you alone may read it."),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Print the signature headers for the exact bytes of FILE.

    A line break at the end of the file is signed too: post it with `curl --data-binary`. `curl -H
    @FILE` reads what --out writes. The header of a source with a token or password is its secret,
    or for an hour as good as it: printed with --reveal alone.
    """
    from consumer.runtime.proving import prover
    from consumer.runtime.settings_map import shared_secrets

    if as_json and out is not None:
        raise typer.BadParameter("--out writes lines for `curl -H @FILE`: leave --json out")
    settings = load_settings(ctx, required(source))
    found = source_named(settings, source)
    if found.credential and not reveal and out is None:
        raise typer.BadParameter(
            f"the header that proves {source} holds its secret: --out FILE writes it to a file for"
            " `curl -H @FILE`, --reveal prints it"
        )

    def token() -> str:
        return issue(source, shared_secrets(found)[0], utc_now())

    proven = prover(source, found, utc_now, token)(read_body(file))
    # A header has bytes: a secret beyond ASCII is UTF-8 there.
    headers = {name: value.encode("latin-1").decode() for name, value in proven.items()}
    if out is not None:
        _write(out, "".join(f"{name}: {value}\n" for name, value in headers.items()))
    elif as_json:
        print_json(headers)
    else:
        for name, value in headers.items():
            typer.echo(f"{name}: {value}")
    return 0


def _write(path: Path, text: str) -> None:
    try:
        path.touch(mode=0o600, exist_ok=False)
        path.write_text(text, encoding="utf-8", newline="\n")
    except FileExistsError:
        raise typer.BadParameter(f"{path} is there already: name a new file") from None
    except OSError as error:
        raise typer.BadParameter(f"{path} cannot be written: {error.strerror}") from error
    error_console().print(f"Written to {path}: curl -H @{path}", soft_wrap=True)

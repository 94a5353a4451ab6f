"""`schema`: look at schemas, and decide what becomes part of them."""

from __future__ import annotations

import typer

from consumer.cli.schema.alias import alias, unalias
from consumer.cli.schema.amend import renumber, retire, unmap
from consumer.cli.schema.approve import approve
from consumer.cli.schema.backfill import backfill
from consumer.cli.schema.check import check
from consumer.cli.schema.diff import diff
from consumer.cli.schema.explain import explain
from consumer.cli.schema.export import export
from consumer.cli.schema.learn import learn
from consumer.cli.schema.pins import pin, pins, unpin
from consumer.cli.schema.reject import reject
from consumer.cli.schema.show import list_subjects, show
from consumer.cli.schema.signals import signals

app = typer.Typer(no_args_is_help=True)

# Help shows them in this order: looking first, deeds last.
for _name, _command in (
    ("list", list_subjects),
    ("show", show),
    ("export", export),
    ("diff", diff),
    ("signals", signals),
    ("explain", explain),
    ("check", check),
    ("pins", pins),
    ("pin", pin),
    ("unpin", unpin),
    ("learn", learn),
    ("approve", approve),
    ("reject", reject),
    ("backfill", backfill),
    ("retire", retire),
    ("unmap", unmap),
    ("alias", alias),
    ("unalias", unalias),
    ("renumber", renumber),
):
    app.command(_name)(_command)

"""`schema`: look at schemas, and decide what becomes part of them."""

from __future__ import annotations

import typer

from consumer.cli.schema_approve import approve
from consumer.cli.schema_backfill import backfill
from consumer.cli.schema_decide import renumber, retire, unmap
from consumer.cli.schema_diff import diff
from consumer.cli.schema_explain import explain
from consumer.cli.schema_export import export
from consumer.cli.schema_learn import learn
from consumer.cli.schema_list import list_subjects
from consumer.cli.schema_show import show

app = typer.Typer(no_args_is_help=True)

# Help shows them in this order: looking first, deeds last.
for _name, _command in (
    ("list", list_subjects),
    ("show", show),
    ("export", export),
    ("diff", diff),
    ("explain", explain),
    ("learn", learn),
    ("approve", approve),
    ("backfill", backfill),
    ("retire", retire),
    ("unmap", unmap),
    ("renumber", renumber),
):
    app.command(_name)(_command)

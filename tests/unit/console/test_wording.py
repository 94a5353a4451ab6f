"""Everything that the console names has words."""

from __future__ import annotations

import ast
import inspect

from consumer.console.screens.jobs import PURPOSES
from consumer.console.wording import KINDS
from consumer.readers.verdicts import LOST
from consumer.runtime import jobs
from consumer.schemas.model import BY_HAND
from consumer.schemas.objections import _BROUGHT
from consumer.signals.signals import FIGURES


def test_every_class_of_change_and_signal_has_words() -> None:
    assert {*BY_HAND, *_BROUGHT, *FIGURES, LOST} == {*KINDS}


def test_every_job_says_what_it_is_for() -> None:
    rows = [
        node.args[0]
        for node in ast.walk(ast.parse(inspect.getsource(jobs)))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Job"
    ]
    names = {
        str(row.value) if isinstance(row, ast.Constant) else getattr(jobs, ast.unparse(row))
        for row in rows
    }

    # That of the drain has no record of its runs.
    assert names - {"drain_spool"} == {*PURPOSES}

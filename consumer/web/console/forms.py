"""Read what a request sends, within bounds."""

from __future__ import annotations

from urllib.parse import urlsplit

import falcon

from consumer.web.console.answers import Invalid
from consumer.web.console.frame import ROOT
from consumer.web.console.request import Fields

# What pages show of it stands in each of their links.
_MOST_QUERY = 4096


def query(req: falcon.Request) -> Fields:
    """The fields behind the question mark; raises Invalid."""
    if len(req.query_string) > _MOST_QUERY:
        raise Invalid(f"The address is longer than {_MOST_QUERY:,} characters.")
    try:
        return Fields.parse(req.query_string)
    except ValueError as error:
        raise Invalid("The address has too many fields.") from error


def form(req: falcon.Request, most: int) -> Fields:
    """The fields of a form of at most so many bytes; raises Invalid."""
    length = req.content_length or 0
    if length > most:
        raise Invalid(f"The form is larger than {most:,} bytes.")
    try:
        return Fields.parse(req.bounded_stream.read(length).decode())
    except ValueError as error:
        raise Invalid("The form cannot be read.") from error


def inside(where: str) -> str:
    """A path of the console to go on to; anything else becomes its first screen."""
    if len(where) > _MOST_QUERY or not where.isprintable() or "\\" in where:
        return ROOT
    try:
        parts = urlsplit(where)
    except ValueError:
        return ROOT
    is_inside = parts.path == ROOT or parts.path.startswith(f"{ROOT}/")
    if parts.scheme or parts.netloc or not is_inside or parts.path.startswith(f"{ROOT}/log"):
        return ROOT
    return where

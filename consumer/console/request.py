"""Read a request within bounds: its fields, who asks, and a way to record what they do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from urllib.parse import parse_qsl, urlencode, urlsplit

import falcon

from consumer.console.answers import Invalid
from consumer.console.base import ROOT
from consumer.console.session import Session
from consumer.console.templating import Whole

# Bytes of a form of buttons and short texts; a screen that takes more says so.
FORM_BYTES = 64 * 1024
# Pages show the query again in each of their links.
_MOST_QUERY = 4096
_MOST_FIELDS = 2000
_MOST_NUMBER = 10_000
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
# Beyond it no time can be moved by what is added to it.
_END = datetime(9999, 1, 1, tzinfo=timezone.utc)
# What MongoDB keeps of times.
_MILLISECOND = timedelta(milliseconds=1)


class Fields(Mapping[str, str]):
    """Fields of a query or a form: the last of each name, or `all` of them."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._pairs = pairs
        self._last = dict(pairs)

    @classmethod
    def parse(cls, text: str) -> Fields:
        """Read `application/x-www-form-urlencoded`; raises ValueError for too many fields."""
        return cls(parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS))

    def __getitem__(self, name: str) -> str:
        return self._last[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._last)

    def __len__(self) -> int:
        return len(self._last)

    def all(self, name: str) -> list[str]:
        """Every value of a name, as of checkboxes."""
        return [value for key, value in self._pairs if key == name]

    def number(self, name: str, default: int, least: int = 0, most: int = _MOST_NUMBER) -> int:
        """A whole number within bounds; the default for anything else."""
        text = self.get(name, "")
        if not (text.isascii() and text.isdigit() and len(text) <= 9):
            return default
        return min(max(int(text), least), most)

    def time(self, name: str) -> datetime | None:
        """A time as `datetime-local` writes it, in UTC as all that are shown; raises Invalid."""
        text = self.get(name, "").strip()
        if not text:
            return None
        try:
            at = datetime.fromisoformat(text)
            at = at.astimezone(timezone.utc) if at.tzinfo else at.replace(tzinfo=timezone.utc)
        except (ValueError, OverflowError) as error:
            raise Invalid(f"“{text[:40]}” is no time: 2026-01-31T12:00 is one.") from error
        if not _EPOCH <= at < _END:
            raise Invalid(f"“{text[:40]}” is no time that anything here can have.")
        return at

    def time_before(self, name: str) -> datetime | None:
        """The last moment before such a time, for bounds that are not meant with it."""
        at = self.time(name)
        return None if at is None else at - _MILLISECOND

    def mark(self, name: str) -> datetime | None:
        """The time that `to_mark` wrote; None where there is none."""
        text = self.get(name, "")
        if not (text.isascii() and text.isdigit() and len(text) <= 14):
            return None
        return _EPOCH + int(text) * _MILLISECOND


def to_mark(at: datetime) -> int:
    """Milliseconds since 1970, for a link or a form that brings a time back exactly."""
    return (at - _EPOCH) // _MILLISECOND


@dataclass(frozen=True, slots=True)
class Request:
    """One request of somebody who is logged in. `form` is empty unless it is an action; `record`
    writes one down for the audit. `seal` signs a text that a form of theirs is to bring back
    unaltered."""

    path: str
    query: Fields
    form: Fields
    session: Session
    now: datetime
    fragment: bool
    record: Callable[..., None]
    seal: Callable[[str], str]

    def link(self, **changed: object) -> str:
        """This screen with some of its query changed; None takes a field out."""
        fields: dict[str, object] = {**self.query, **changed}
        query = urlencode(
            {name: value for name, value in fields.items() if value not in (None, "")}
        )
        return Whole(f"{self.path}?{query}" if query else self.path)


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

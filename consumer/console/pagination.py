"""Go through long lists by the time of the last row, at the same cost however far one goes.

Cut long lists into pages without counting them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from consumer.console.request import Request
from consumer.console.times import from_mark, to_mark

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Trail:
    """Where a page of a list begins that is sorted by time, the newest first: at or before `until`
    (None: at the newest), of whose rows `skip` at that very time were shown before."""

    until: datetime | None
    skip: int
    page: int

    @classmethod
    def of(cls, request: Request) -> Trail:
        """The page that the query asks for."""
        query = request.query
        until = from_mark(query.get("at", ""))
        skip = query.number("past", 0) if until else 0
        return cls(until, skip, query.number("page", 1, least=1))

    def links(
        self, request: Request, rows: Sequence[T], size: int, at: Callable[[T], datetime]
    ) -> Links:
        """The links of a page of `size` rows; `rows` are those found, one more than shown if there
        are more."""
        newest = request.link(at=None, past=None, page=None) if self.until else None
        if len(rows) <= size:
            return Links(self.page, newest, None)
        shown, last = rows[:size], at(rows[size - 1])
        same = sum(at(row) == last for row in shown)
        # A page of one time alone goes on where it began.
        past = same + (self.skip if self.until == last else 0)
        older = request.link(at=to_mark(last), past=past, page=self.page + 1)
        return Links(self.page, newest, older)


@dataclass(frozen=True, slots=True)
class Links:
    """What the macro `pages` shows."""

    page: int
    newer: str | None
    older: str | None


# Skipping costs; who looks for something that far back filters.
_MOST_PAGES = 200


@dataclass(frozen=True, slots=True)
class Pager:
    """Page `page` (from 1) of `size` rows. Ask for `asked` rows after `skip`: one more than shown
    tells whether there is a next page."""

    page: int
    size: int
    newer: str | None = None
    older: str | None = None
    _request: Request | None = None

    @classmethod
    def of(cls, request: Request, size: int) -> Pager:
        """The page that the query asks for."""
        page = request.query.number("page", 1, least=1, most=_MOST_PAGES)
        return cls(page, size, _request=request)

    @property
    def skip(self) -> int:
        return (self.page - 1) * self.size

    @property
    def asked(self) -> int:
        return self.size + 1

    def taken(self, rows: Sequence[T]) -> Sequence[T]:
        """The rows to show of those that were found."""
        return rows[: self.size]

    def told(self, found: int) -> Pager:
        """With the links to the pages beside it, when so many rows were found."""
        if self._request is None:
            return self
        link = self._request.link
        newer = link(page=self.page - 1 if self.page > 2 else None) if self.page > 1 else None
        older = link(page=self.page + 1) if found > self.size and self.page < _MOST_PAGES else None
        return Pager(self.page, self.size, newer, older)

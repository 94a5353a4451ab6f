"""Cut long lists into pages, without counting their rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from consumer.console.request import Request, to_mark

T = TypeVar("T")

# Skipping costs; who looks for something that far back filters.
_MOST_PAGES = 200


@dataclass(frozen=True, slots=True)
class Links:
    """The number of a page and the links beside it, as the macro `pages` shows them."""

    page: int
    newer: str | None
    older: str | None


@dataclass(frozen=True, slots=True)
class OffsetPage:
    """Page `page` (from 1) of `size` rows. Ask for `limit` rows after `skip`: one more than shown
    tells whether there is a next page."""

    page: int
    size: int

    @classmethod
    def of(cls, request: Request, size: int) -> OffsetPage:
        """The page that the query asks for."""
        return cls(request.query.number("page", 1, least=1, most=_MOST_PAGES), size)

    @property
    def skip(self) -> int:
        return (self.page - 1) * self.size

    @property
    def limit(self) -> int:
        return self.size + 1

    def rows(self, found: Sequence[T]) -> Sequence[T]:
        """The rows to show of those that were found."""
        return found[: self.size]

    def links(self, request: Request, found: Sequence[object]) -> Links:
        newer = request.link(page=self.page - 1 if self.page > 2 else None)
        is_last = len(found) <= self.size or self.page >= _MOST_PAGES
        older = None if is_last else request.link(page=self.page + 1)
        return Links(self.page, newer if self.page > 1 else None, older)


@dataclass(frozen=True, slots=True)
class KeysetPage:
    """The begin of a page of a list sorted by time, the newest first: at or before `until`
    (None: at the newest), of whose rows `skip` at that very time were shown before. It costs the
    same however far one goes."""

    until: datetime | None
    skip: int
    page: int

    @classmethod
    def of(cls, request: Request) -> KeysetPage:
        """The page that the query asks for."""
        query = request.query
        until = query.mark("at")
        skip = query.number("past", 0) if until else 0
        return cls(until, skip, query.number("page", 1, least=1))

    def links(
        self, request: Request, found: Sequence[T], size: int, at: Callable[[T], datetime]
    ) -> Links:
        """The links of a page of `size` rows; one more was `found` than is shown if there are
        more. `at` is the time of a row."""
        newest = request.link(at=None, past=None, page=None) if self.until else None
        if len(found) <= size:
            return Links(self.page, newest, None)
        shown, last = found[:size], at(found[size - 1])
        same = sum(at(row) == last for row in shown)
        # A page of one time alone goes on where it began.
        past = same + (self.skip if self.until == last else 0)
        older = request.link(at=to_mark(last), past=past, page=self.page + 1)
        return Links(self.page, newest, older)

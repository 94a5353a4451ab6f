"""Cut long lists into pages without counting them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from consumer.web.console.request import Request

T = TypeVar("T")

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

"""Read HTTP headers straight from a WSGI environ, without copying those nobody asks for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from consumer.core.delivery import MOST_OF_HEADER

# Headers that the diagnosis of a signature may need, and those that show an operator who sent it.
# Cookies and credentials are never kept.
_WORTH_KEEPING = re.compile(
    r"SIGNATURE|HMAC|HASH|DIGEST|TIMESTAMP|(?:^|_)(?:DATE|USER_AGENT)$|^CONTENT_(?:TYPE|ENCODING)$"
    r"|(?:^|_)(?:DELIVERY|EVENT|MESSAGE|SVIX|WEBHOOK)_ID$"
)


class EnvironHeaders(Mapping[str, str]):
    """Any header by name, in any case; iteration yields only those worth keeping, lower-case.

    `names` are further headers to keep: those the settings name. `hidden` are never yielded: they
    may carry a secret.
    """

    def __init__(
        self,
        environ: Mapping[str, Any],
        names: frozenset[str] = frozenset(),
        hidden: frozenset[str] = frozenset(),
    ) -> None:
        self._environ = environ
        self._names = names
        self._hidden = hidden

    def __getitem__(self, name: str) -> str:
        value = self.get(name)
        if value is None:
            raise KeyError(name)
        return str(value)

    def get(self, name: str, default: Any = None) -> Any:
        """As of any mapping; spelled out, for the inherited one raises and catches."""
        value = self._environ.get(environ_key(name))
        return value[:MOST_OF_HEADER] if isinstance(value, str) else default

    def __iter__(self) -> Iterator[str]:
        for key in self._environ:
            name = key[5:] if key.startswith("HTTP_") else key
            if key != name or name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
                plain = name.replace("_", "-").lower()
                if plain in self._hidden:
                    continue
                if plain in self._names or _WORTH_KEEPING.search(name):
                    yield plain

    def __len__(self) -> int:
        return sum(1 for _ in self)


# The names asked for stand in the code and the settings: few.
@lru_cache(maxsize=64)
def environ_key(name: str) -> str:
    """The key of a header in a WSGI environ (PEP 3333)."""
    key = name.upper().replace("-", "_")
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"

"""Turn what one layer says into values by setting, with every fault in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

from config.faults import Fault
from config.secrets import read_secret
from config.sources import Entry, Layer
from config.table import Row

_FILE = "_FILE"
_OURS = "CXONE_"
# Of all programs of a machine, and often set in both cases of letters: the first counts.
_SHARED = frozenset({"HTTPS_PROXY", "NO_PROXY"})


def names_of(rows: Sequence[Row]) -> dict[str, Row]:
    """Every name a setting may be given under, in capitals."""
    return {name: row for row in rows for name in row.names}


def settle(
    layer: Layer, known: Mapping[str, Row], *, strict: bool
) -> tuple[dict[str, Entry], list[Fault]]:
    """The entries of a layer by field, aliases and files resolved.

    Names are compared without regard to case; an empty value counts as not set. Unknown names are
    faults when they begin with `CXONE_`, or all of them when `strict`: environments and `.env`
    files are shared with other programs. Two names for one setting must agree, but for those of
    all programs.
    """
    faults = list(layer.faults)
    values: dict[str, Entry] = {}
    for entry in layer.entries:
        row, is_file = find(entry.name, known)
        if row is None:
            faults += _unknown(entry, known, strict=strict)
            continue
        if entry.value is None:
            faults.append(Fault(entry.name, entry.source, "no value", f"{entry.name}=value"))
            continue
        if entry.value == "":
            continue
        try:
            found = _content(entry) if is_file else entry
        except ValueError as error:
            # The path is no secret, but a secret put there by mistake would be: leave it out.
            faults.append(Fault(entry.name, entry.source, f"the file it names: {error}"))
            continue
        if isinstance(found.value, str) and not _is_unicode(found.value):
            faults.append(Fault(entry.name, entry.source, "not UTF-8 text"))
            continue
        earlier = values.setdefault(row.field, found)
        if earlier is not found and earlier.value != found.value and row.name not in _SHARED:
            problem = f"disagrees with {earlier.name} ({earlier.source})"
            faults.append(Fault(entry.name, entry.source, problem, "one of the two, or the same"))
    return values, faults


def find(name: str, known: Mapping[str, Row]) -> tuple[Row | None, bool]:
    """The setting a name is for, and whether the name is that of a file with its value."""
    name = name.upper()
    if name in known:
        return known[name], False
    row = known.get(name.removesuffix(_FILE))
    return (row, True) if row is not None and row.secret else (None, False)


def _is_unicode(text: str) -> bool:
    # Bytes of the environment that are not UTF-8 come as halves of surrogate pairs.
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _content(entry: Entry) -> Entry:
    if not isinstance(entry.value, str) or "\0" in entry.value:
        raise ValueError("not a path")
    return Entry(entry.name, read_secret(Path(entry.value).expanduser()), entry.source)


def _unknown(entry: Entry, known: Mapping[str, Row], *, strict: bool) -> Iterator[Fault]:
    name = entry.name.upper()
    if not strict and not name.startswith(_OURS):
        return
    problem = "no such setting"
    candidates = [*known, *(other + _FILE for other, row in known.items() if row.secret)]
    close = get_close_matches(name, candidates, n=1, cutoff=0.75)
    if close:
        problem += f"; did you mean {close[0]}?"
    shown = entry.name if len(entry.name) <= 80 else f"{entry.name[:80]}…"
    yield Fault(shown.encode("unicode_escape").decode(), entry.source, problem)

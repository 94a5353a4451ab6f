"""How far the versions of one subject have spread: a picture of what producers send, and shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from consumer.storage.adoption_history import Sent
from consumer.timegrid import HOUR, hour_of
from consumer.web.console.charts import Chart, Series, draw

# The newest versions have a colour each; what is older is one grey.
_COLOURS = ("c1", "c0", "c2", "c4", "c3", "c5", "c6")
_OLDER = "c7"
SPANS = {"24h": 24, "3d": 72, "7d": 168}
USUAL_SPAN = "24h"


@dataclass(frozen=True, slots=True)
class VersionRow:
    """`documents` are stamped with the version; `sent` events exhibit it in the span."""

    version: int
    documents: int
    share: float
    sent: int
    sent_share: float
    colour: str


def hours_of_span(span: str, now: datetime) -> list[datetime]:
    """The hours of a span of SPANS, the current one last."""
    last = hour_of(now)
    return [last - HOUR * back for back in reversed(range(SPANS[span]))]


def picture(sent: Sent, hours: Sequence[datetime]) -> Chart | None:
    """Events an hour by the version that their payloads exhibit, the newest at the bottom; None
    where nothing came."""
    versions = sorted({each for of in sent.hours.values() for each in of}, reverse=True)
    if not versions:
        return None
    own, older = versions[: len(_COLOURS)], versions[len(_COLOURS) :]
    series = [
        Series(f"version {version}", colour, [_of(sent, hour, (version,)) for hour in hours])
        for version, colour in zip(own, _COLOURS, strict=False)
    ]
    if older:
        series.append(Series("older", _OLDER, [_of(sent, hour, older) for hour in hours]))
    is_long = len(hours) > 24
    labels = [f"{hour:%a %H:%M}" if is_long else f"{hour:%H:%M}" for hour in hours]
    title = "Events an hour by the version that their producers send"
    return draw(title, labels, series, width=1040, height=260, total=_total)


def version_rows(documents: Mapping[int, int], sent: Sent, newest: int) -> list[VersionRow]:
    """Every version that a document is stamped with or a producer sends, the newest first."""
    came: dict[int, int] = {}
    for of in sent.hours.values():
        for version, count in of.items():
            came[version] = came.get(version, 0) + count
    kept, all_sent = max(1, sum(documents.values())), max(1, sum(came.values()))
    shown = sorted(came, reverse=True)
    colours = dict(zip(shown, _COLOURS, strict=False))
    numbers = {newest, *came, *(version for version, count in documents.items() if count)}
    return [
        VersionRow(
            version=version,
            documents=documents.get(version, 0),
            share=documents.get(version, 0) / kept,
            sent=came.get(version, 0),
            sent_share=came.get(version, 0) / all_sent,
            colour=colours.get(version, _OLDER),
        )
        for version in sorted(numbers - {0}, reverse=True)
    ]


def _of(sent: Sent, hour: datetime, versions: Sequence[int]) -> int:
    found = sent.hours.get(hour, {})
    return sum(found.get(version, 0) for version in versions)


def _total(values: Sequence[float | None]) -> str:
    return f"{sum(value or 0 for value in values):,.0f}"

"""Print the answers to a run of posts, and hints about those that failed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

from config.sources import MAIN_PATH
from consumer.cli.console import console, error_console, print_json, table
from consumer.core.delivery import MAIN
from consumer.demo.results import Summary


@dataclass(frozen=True, slots=True)
class Report:
    """The end of `intended` posts to `url`, as far as they were made."""

    summary: Summary
    url: str
    intended: int
    interrupted: bool
    source: str = MAIN
    path: str = MAIN_PATH

    @property
    def exit_status(self) -> int:
        """0 all were answered 2xx, 1 some were not, 130 interrupted."""
        if self.interrupted:
            return 130
        return 0 if self.summary.accepted == self.intended else 1

    def print(self, *, as_json: bool) -> None:
        """Write the figures to standard output, the hints to standard error."""
        if as_json:
            print_json(self._document())
        else:
            self._tables()
        for hint in self.hints():
            error_console().print(hint, soft_wrap=True)

    def hints(self) -> Iterator[str]:
        """Hints for what to do next, one line each; none when all went well."""
        summary = self.summary
        if self.interrupted:
            yield (
                f"Interrupted: {summary.posts:,} of {self.intended:,} are counted here; "
                "posts under way may have arrived as well."
            )
        elif summary.posts < self.intended:
            yield f"Gave up after {summary.posts:,} of {self.intended:,}: none was answered."
        if summary.posts and not summary.answered:
            yield (
                f"Nothing answers at {self.url}: is the service running there "
                "(`cxone-consumer serve`), and is --url right?"
            )
        statuses = {answer.status for answer in summary.answers}
        if 401 in statuses:
            what = "CXONE_SHARED_SECRET" if self.source == MAIN else f"secret of {self.source}"
            yield f"401: do both sides use the same {what} and signature settings?"
        if 404 in statuses:
            yield f"404: the path of the webhook is {self.path}."

    def _document(self) -> dict[str, object]:
        figures = asdict(self.summary)
        latency = figures.pop("latency")
        return {
            "url": self.url,
            "intended": self.intended,
            "interrupted": self.interrupted,
            **figures,
            "latency_seconds": latency,
        }

    def _tables(self) -> None:
        summary = self.summary
        out = console()
        rows = [
            (
                f"{answer.status} {answer.word}" if answer.status else answer.word,
                answer.count,
                f"{100 * answer.count / summary.posts:.1f} %",
            )
            for answer in summary.answers
        ]
        out.print(table(("answer", "posts", "share"), rows, title=f"Posted to {self.url}"))
        if summary.latency is not None:
            times = asdict(summary.latency)
            row = [f"{1000 * seconds:.1f} ms" for seconds in times.values()]
            out.print(table(tuple(times), [row], title="Time to answer"))
        out.print(
            f"{summary.answered:,} answers in {summary.seconds:.2f} s: {summary.throughput:,.1f}/s"
        )

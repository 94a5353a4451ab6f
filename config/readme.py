"""Keep the table of .github/SETTINGS.md as the settings are: `python -m config.readme` does it."""

from __future__ import annotations

import re
from pathlib import Path

from config.settings import rows

_BEGIN, _END = "<!-- settings: made by `python -m config.readme` -->", "<!-- end of settings -->"
_BLOCK = re.compile(f"{re.escape(_BEGIN)}.*?{re.escape(_END)}", re.DOTALL)


def with_settings(page: str) -> str:
    """The text of the page with the table as it must be; raises ValueError without its place."""
    block = f"{_BEGIN}\n\n{table()}\n{_END}"
    text, found = _BLOCK.subn(lambda _: block, page)
    if found != 1:
        raise ValueError(f"SETTINGS.md has no place for the settings: {_BEGIN} … {_END}")
    return text


def table() -> str:
    """Every setting with its default and what it does, as Markdown."""
    lines = ["| setting | default | what it does |", "|---|---|---|"]
    for row in rows():
        name = "<br>".join(f"`{each}`" for each in row.names)
        default = f"`{row.default}`" if row.default else ""
        lines.append(f"| {name} | {default} | {_cell(row.help)} |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    # Outside code a star or an angle bracket would be read as markup.
    return re.sub(r"([*<>|])", r"\\\1", text)


def main() -> None:
    path = Path(__file__).parents[1] / ".github" / "SETTINGS.md"
    path.write_text(with_settings(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()

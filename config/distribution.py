"""Know where this program was installed from, so that advice to install names what is there."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, distribution
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

NAME = "cxone-consumer"


def requirement(extra: str = "") -> str:
    """Requirement that `pip install` takes to install this program again, with an extra: the folder
    or file that it was installed from, or its name where that was a package index (PEP 610)."""
    wanted = f"[{extra}]" if extra else ""
    origin = _origin()
    url = str(origin.get("url", ""))
    if "dir_info" in origin:
        return url2pathname(urlsplit(url).path) + wanted
    if "vcs_info" in origin:
        vcs = origin["vcs_info"]
        return f"{NAME}{wanted} @ {vcs.get('vcs')}+{url}@{vcs.get('commit_id')}"
    return f"{NAME}{wanted} @ {url}" if url else f"{NAME}{wanted}"


def _origin() -> dict[str, Any]:
    try:
        text = distribution(NAME).read_text("direct_url.json")
        found = json.loads(text or "{}")
    except (PackageNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}

"""Advice to install names what this program was installed from."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from config.environment import install_command, requirement


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        (None, "cxone-consumer[embedded]"),
        ("no JSON", "cxone-consumer[embedded]"),
        ({"url": "file:///srv/a%20b/cxone", "dir_info": {}}, "/srv/a b/cxone[embedded]"),
        (
            {"url": "file:///srv/cxone", "dir_info": {"editable": True}},
            "/srv/cxone[embedded]",
        ),
        (
            {"url": "file:///srv/cxone_consumer-0.2.0-py3-none-any.whl", "archive_info": {}},
            "cxone-consumer[embedded] @ file:///srv/cxone_consumer-0.2.0-py3-none-any.whl",
        ),
        (
            {"url": "https://git.example/c", "vcs_info": {"vcs": "git", "commit_id": "12ab"}},
            "cxone-consumer[embedded] @ git+https://git.example/c@12ab",
        ),
    ],
)
def test_what_to_install_again_is_what_was_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, origin: object, expected: str
) -> None:
    metadata = tmp_path / "cxone_consumer-9.9.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: cxone-consumer\nVersion: 9.9\n"
    )
    if origin is not None:
        text = origin if isinstance(origin, str) else json.dumps(origin)
        (metadata / "direct_url.json").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))

    assert Path(requirement("embedded")) == Path(expected)
    command, editable = install_command("embedded"), "editable" in str(origin)
    assert f"{sys.executable} -m pip install {'-e ' * editable}" in command.replace('"', "")
    assert command.endswith(f' "{requirement("embedded")}"')


def test_an_environment_without_pip_is_that_of_uv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("config.environment.find_spec", lambda _name: None)
    monkeypatch.setattr(sys, "executable", "C:\\a b\\python.exe")

    assert install_command().startswith('uv pip install --python "C:\\a b\\python.exe" ')

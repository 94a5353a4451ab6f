"""Read all settings once, from every place, and report all that is wrong together."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from pydantic import ValidationError

from config import sources
from config.faults import Fault, SettingsError, Wrong, shown
from config.layers import find, names_of, settle
from config.secrets import from_credentials
from config.sources import Entry, Layer
from config.subjects import SubjectRules
from config.table import Row, Settings, rows

__all__ = ["Fault", "Row", "Settings", "SettingsError", "from_process", "load", "rows"]

_DOTENV = Path(".env")


def from_process(
    overrides: Mapping[str, str],
    env_file: Path | None = None,
    config_file: Path | None = None,
    required: Collection[str] = (),
) -> Settings:
    """`load` with the environment of this process and, unless told another, `.env` in the current
    directory where there is one. Nothing else in the program reads the environment."""
    if env_file is None and _DOTENV.exists() and not _DOTENV.is_dir():
        env_file = _DOTENV
    return load(overrides, os.environ, env_file, config_file, required)


def load(
    overrides: Mapping[str, str],
    environ: Mapping[str, str],
    env_file: Path | None = None,
    config_file: Path | None = None,
    required: Collection[str] = (),
) -> Settings:
    """The settings of `overrides` (command line), else `environ`, else `$CREDENTIALS_DIRECTORY`,
    else `env_file`, else the TOML `config_file` (also named by CXONE_CONFIG), else built in.

    An empty value counts as not set; relative paths start at the current directory. `required`
    are names this command cannot do without. Raises SettingsError with the faults of all places,
    also of those another place overrides.
    """
    known = names_of(rows())
    faults: list[Fault] = []
    chosen: dict[str, Entry] = {}

    def take(layer: Layer, *, strict: bool = False) -> None:
        values, found = settle(layer, known, strict=strict)
        faults.extend(found + _wrong_values(values))
        for name, entry in values.items():
            chosen.setdefault(name, entry)

    secrets = [name for name, row in known.items() if row.secret]
    take(sources.from_mapping(overrides, "command line"), strict=True)
    take(sources.from_mapping(environ, "environment"))
    take(from_credentials(environ.get("CREDENTIALS_DIRECTORY"), secrets))
    take(sources.from_dotenv(env_file))
    if config_file is not None:
        chosen["cxone_config"] = Entry("--config", str(config_file), "command line")
    layer, subjects = _config_layer(chosen.get("cxone_config"))
    take(layer, strict=True)

    broken = {row.field for fault in faults if (row := find(fault.name, known)[0])}
    usable = {name: entry.value for name, entry in chosen.items() if name not in broken}
    settings = Settings.model_validate({**usable, "subjects": MappingProxyType(subjects)})
    faults += _missing(settings, [known[name.upper()] for name in required], broken)
    faults += _together(settings, broken)
    if faults:
        raise SettingsError(faults)
    return settings


def _config_layer(named: Entry | None) -> tuple[Layer, dict[str, SubjectRules]]:
    try:
        path = Path(str(named.value)).expanduser() if named else None
        layer, subjects = sources.from_toml(path)
    except (ValueError, RuntimeError):  # NUL in it, or ~ of a user nobody knows
        return Layer(), {}  # the value itself is reported like any other
    for entry in [entry for entry in layer.entries if entry.name.upper() == "CXONE_CONFIG"]:
        layer.entries.remove(entry)
        problem = "a config file names no other"
        layer.faults.append(Fault(entry.name, entry.source, problem, "environment, .env, --config"))
    return layer, subjects


def _wrong_values(entries: Mapping[str, Entry]) -> list[Fault]:
    """The faults of a layer's values, each checked on its own."""
    try:
        Settings.model_validate({name: entry.value for name, entry in entries.items()})
    except ValidationError as error:
        wrong = {
            str(detail["loc"][0]): detail.get("ctx", {}).get("error")
            for detail in error.errors(include_url=False)
        }
    else:
        return []
    return [
        _wrong(row, entries[row.field], wrong[row.field]) for row in rows() if row.field in wrong
    ]


def _wrong(row: Row, entry: Entry, error: object) -> Fault:
    # What looks like an address with a password is as secret as one.
    hidden = row.secret or (isinstance(entry.value, str) and "@" in entry.value)
    problem = "not allowed" if hidden else f"{shown(entry.value)} is not allowed"
    if isinstance(error, Wrong):
        problem += f": {error}"
    return Fault(entry.name, entry.source, problem, row.allowed)


def _missing(settings: Settings, needed: Iterable[Row], broken: Collection[str]) -> Iterator[Fault]:
    for row in needed:
        if row.field not in broken and getattr(settings, row.field) in (None, ""):
            how = "in the environment, .env or the --config file"
            how += f", or name a file in {row.name}_FILE" if row.secret else ""
            yield Fault(row.name, "not set", f"required here: set it {how}")


def _together(settings: Settings, broken: Collection[str]) -> Iterator[Fault]:
    """Settings that are right alone and wrong together."""
    if (
        settings.cxone_signed_content == "timestamp.body"
        and settings.cxone_timestamp_header is None
        and "cxone_timestamp_header" not in broken
    ):
        problem = "required with CXONE_SIGNED_CONTENT=timestamp.body"
        allowed = "the name of the header with the signed time"
        yield Fault("CXONE_TIMESTAMP_HEADER", "not set", problem, allowed)
    if settings.cxone_defaults == "none" and "cxone_defaults" not in broken:
        for subject, rules in settings.subjects.items():
            if rules.defaults:
                name = f'defaults of [subjects."{subject}"]'
                problem = "cannot stand beside CXONE_DEFAULTS=none, which fills nothing"
                yield Fault(name, "config file", problem, "CXONE_DEFAULTS=null or typed")

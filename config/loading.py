"""Read all settings once, from every place, and report all that is wrong together."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType

from pydantic import ValidationError

from config import layers, sources, subjects
from config.faults import Fault, SettingsError, Wrong, shown
from config.layers import Entry, Layer, from_credentials, resolved
from config.presets import PRESETS
from config.settings import MAIN_FIELDS, Row, Settings, rows
from config.signing import MAIN

__all__ = ["Fault", "Row", "Settings", "SettingsError", "from_process", "load", "rows"]

_DOTENV = Path(".env")
_FILE = "_FILE"
_OURS = "CXONE_"
# Of all programs of a machine, and often set in both cases of letters: the first counts.
_SHARED = frozenset({"HTTPS_PROXY", "NO_PROXY"})


def from_process(
    overrides: Mapping[str, str],
    env_file: Path | None = None,
    config_file: Path | None = None,
    required: Collection[str] = (),
) -> Settings:
    """`load` with the environment of this process and, unless `env_file` is given, `.env` in the
    current directory where there is one. Nothing but this package reads the environment."""
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

    secrets_of_sources: list[list[Entry]] = []

    def take(layer: Layer, *, strict: bool = False) -> None:
        secrets_of_sources.append(
            [entry for entry in layer.entries if sources.is_secret_variable(entry.name)]
        )
        values, found = resolve(layer, known, strict=strict)
        faults.extend(found + _wrong_values(values))
        for name, entry in values.items():
            chosen.setdefault(name, entry)

    secrets = [name for name, row in known.items() if row.secret]
    if config_file is not None:
        take(Layer([Entry("CXONE_CONFIG", str(config_file), "--config")]))
    take(layers.from_mapping(overrides, "command line"), strict=True)
    take(layers.from_mapping(environ, "environment"))
    folder = environ.get("CREDENTIALS_DIRECTORY")
    take(from_credentials(folder, secrets, sources.is_secret_variable))
    take(layers.from_dotenv(env_file))
    layer, tables = _config_layer(chosen.get("cxone_config"))
    take(layer, strict=True)
    preset = PRESETS.get(str(chosen["cxone_preset"].value)) if "cxone_preset" in chosen else None
    if preset is not None:
        given = {_name_in_main(key): value for key, value in preset.values.items()}
        take(Layer([Entry(name, value, "preset") for name, value in given.items()]))

    place = str(chosen["cxone_config"].value) if "cxone_config" in chosen else ""
    rules, found = subjects.read(tables.get("subjects", {}), place)
    faults += found
    others, found = sources.read(tables.get("sources", {}), place, secrets_of_sources)
    faults += found

    broken = {row.field for fault in faults if (row := find(fault.name, known)[0])}
    usable = {name: entry.value for name, entry in chosen.items() if name not in broken}
    settings = Settings.model_validate(
        {
            **usable,
            "subjects": MappingProxyType(rules),
            "sources": MappingProxyType(others),
            "origins": MappingProxyType({name: chosen[name].source for name in usable}),
        }
    )
    faults += sources.clashes(settings.every_source, place, _name_in_main)
    faults += _missing(settings, [known[name.upper()] for name in required], broken)
    faults += _contradictions(settings, broken)
    if faults:
        raise SettingsError(faults)
    return settings


def _config_layer(named: Entry | None) -> tuple[Layer, dict[str, object]]:
    try:
        path = Path(str(named.value)).expanduser() if named else None
        layer, tables = layers.from_toml(path)
    except (ValueError, RuntimeError):  # NUL in it, or ~ of a user nobody knows
        return Layer(), {}  # the value itself is reported like any other
    for entry in [entry for entry in layer.entries if entry.name.upper() == "CXONE_CONFIG"]:
        layer.entries.remove(entry)
        problem = "a config file names no other"
        layer.faults.append(Fault(entry.name, entry.source, problem, "environment, .env, --config"))
    return layer, tables


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
            if row.field == "mongodb_uri":
                how += "; to try it out, `cxone-consumer serve --embedded` brings a MongoDB along"
            yield Fault(row.name, "not set", f"required here: set it {how}")


def _contradictions(settings: Settings, broken: Collection[str]) -> Iterator[Fault]:
    """Settings that are right alone and wrong together."""
    for key, problem, allowed in sources.unfit(settings.main, _name_in_main):
        if MAIN_FIELDS[key] not in broken:
            yield Fault(_name_in_main(key), "settings", problem, allowed)
    if settings.cxone_dedupe == "id":
        for each, source in settings.every_source.items():
            if source.has_constant_id:
                where = "CXONE_ID_FIELD" if each == MAIN else f"sources.{each}.id"
                problem = "a constant id beside CXONE_DEDUPE=id: all events would be one"
                yield Fault(where, "settings", problem, "CXONE_DEDUPE=content, or another id")
    if settings.cxone_defaults == "none" and "cxone_defaults" not in broken:
        for subject, rules in settings.subjects.items():
            if rules.defaults:
                name = f'defaults of [subjects."{subject}"]'
                problem = "cannot stand beside CXONE_DEFAULTS=none, which fills nothing"
                yield Fault(name, "config file", problem, "CXONE_DEFAULTS=null or typed")


def _name_in_main(key: str) -> str:
    return MAIN_FIELDS[key].upper()


def names_of(rows: Sequence[Row]) -> dict[str, Row]:
    """Every name a setting may be given under, in capitals."""
    return {name: row for row in rows for name in row.names}


def resolve(
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
        if sources.is_secret_variable(entry.name):
            continue
        row, is_file = find(entry.name, known)
        if row is None:
            faults += _unknown(entry, known, strict=strict)
            continue
        found = resolved(entry, is_file=is_file, is_path=row.kind.path)
        if isinstance(found, Fault):
            faults.append(found)
        if not isinstance(found, Entry):
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

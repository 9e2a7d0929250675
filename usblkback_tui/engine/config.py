# SPDX-License-Identifier: MIT
"""Settings from options, environment, a TOML file and defaults, in this order of precedence.

The keys of the file are the fields of ``settings.py``: tables ``[engine]``, ``[ui]``, ``[demo]``, arrays of tables
``[[disk]]`` and ``[[demo.guest]]``.  Every key of ``[engine]`` and ``[ui]`` that is no table has a variable, too:
``USBLKBACK_`` and the key in capitals, lists with commas.  Nothing is ignored: what cannot be used raises ConfigError.
"""

from __future__ import annotations

import dataclasses
import os
import types
import typing
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import tomli

from usblkback_tui.engine.config_values import ConfigError, build, convert, element_of, refuse, unknown
from usblkback_tui.engine.settings import NAMED, DiskOptions, EngineSettings, Settings, UiSettings

PREFIX = "USBLKBACK_"
SYSTEM_FILE = Path("/etc/usblkback-tui/config.toml")

_BOOLEANS = {
    "1": True,
    "true": True,
    "yes": True,
    "on": True,
    "0": False,
    "false": False,
    "no": False,
    "off": False,
}

_TABLES: dict[str, type] = {"engine": EngineSettings, "ui": UiSettings}


def load_settings(
    path: Path | None = None,
    *,
    env: Mapping[str, str] | None = None,
    options: Mapping[str, Any] | None = None,
) -> Settings:
    """The settings to run with.

    ``path`` is a file that must exist; without it the first of :func:`default_files` that exists is read, or none.
    ``env`` is ``os.environ`` unless given.  ``options`` maps keys of ``[engine]`` and ``[ui]`` to values of their type,
    or texts as in the environment, and wins; they are named ``--max-disks`` and so on in errors.
    """
    env = os.environ if env is None else env
    file = path or next((one for one in default_files(env) if one.is_file()), None)
    settings = read_file(file) if file else Settings()
    for name, text in sorted(env.items()):
        if name.startswith(PREFIX):
            settings = _from_environment(settings, name, text)
    for key, value in (options or {}).items():
        name = f"--{key.replace('_', '-')}"
        settings = _set(settings, key, _parse_text(_kind(key), value, name), source="option", path=name)
    return settings


def disk_options(options: Mapping[str, Any]) -> DiskOptions:
    """What was asked for one disk, by the names of DiskOptions' fields; texts are read like environment variables.

    Raises ConfigError naming ``--max-queues`` and so on.
    """
    hints = typing.get_type_hints(DiskOptions)
    values = {}
    for key, given in options.items():
        name = f"--{key.replace('_', '-')}"
        value = _parse_text(hints[key], given, name)
        values[key] = convert(DiskOptions, key, hints[key], value, source="option", path=name)
    return DiskOptions(**values)


def default_files(env: Mapping[str, str]) -> tuple[Path, ...]:
    """Where a config file is looked for, best first."""
    home = env.get("XDG_CONFIG_HOME") or (f"{env['HOME']}/.config" if env.get("HOME") else "")
    own = (Path(home) / "usblkback-tui" / "config.toml",) if home.startswith("/") else ()
    return (*own, SYSTEM_FILE)


def read_file(path: Path) -> Settings:
    """A config file alone.  Raises ConfigError naming the file."""
    try:
        document = tomli.loads(path.read_text(encoding="utf-8"))
    except tomli.TOMLDecodeError as error:
        raise ConfigError(f"{path}: no valid TOML: {error}", fix="mend that line", key=str(path)) from None
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path}: no UTF-8 text at byte {error.start}", fix="save it as UTF-8", key=str(path)
        ) from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ConfigError(
            f"{path}: cannot be read: {reason}", fix="check the path given with --config", key=str(path)
        ) from None
    return build(Settings, document, source=str(path))


def environment_names() -> tuple[str, ...]:
    """Every environment variable that is read."""
    return tuple(f"{PREFIX}{name.upper()}" for cls in _TABLES.values() for name in _keys(cls))


def _keys(cls: type) -> dict[str, Any]:
    """The keys of a table that one text can hold, with their types."""
    hints = typing.get_type_hints(cls)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls) if NAMED not in field.metadata}


def _from_environment(settings: Settings, name: str, text: str) -> Settings:
    key = name.removeprefix(PREFIX).lower()
    kind = _kind(key)
    if kind is None:
        raise unknown("environment", name, name, list(environment_names()))
    return _set(settings, key, _parse(kind, text, name), source="environment", path=name)


def _kind(key: str) -> Any:
    for cls in _TABLES.values():
        if key in (keys := _keys(cls)):
            return keys[key]
    return None


def _parse_text(kind: Any, value: Any, name: str) -> Any:
    return _parse(kind, value, name) if isinstance(value, str) else value


def _parse(kind: Any, text: str, name: str) -> Any:
    if element_of(kind) is not None:
        return [part.strip() for part in text.split(",") if part.strip()]
    if isinstance(kind, types.UnionType):
        if not text:
            return None
        kind = typing.get_args(kind)[0]
    if isinstance(kind, type) and issubclass(kind, Enum):
        truth = any(isinstance(member.value, bool) for member in kind)
        return _BOOLEANS.get(text.lower(), text) if truth else text
    if kind is bool:
        if text.lower() not in _BOOLEANS:
            raise refuse("environment", name, text, "1 or 0")
        return _BOOLEANS[text.lower()]
    try:
        return kind(text)
    except ValueError:
        return text  # the check of the type refuses it in the words of the key


def _set(settings: Settings, key: str, value: Any, *, source: str, path: str) -> Settings:
    for table, cls in _TABLES.items():
        kind = _keys(cls).get(key)
        if kind is not None:
            if value is not None:
                value = convert(cls, key, kind, value, source=source, path=path)
            part = dataclasses.replace(getattr(settings, table), **{key: value})
            return dataclasses.replace(settings, **{table: part})
    raise KeyError(key)

"""Settings of a recipe by name: `--set dit.steps=500` on nested dataclasses, typed; and configurations out of JSON."""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Sequence
from dataclasses import MISSING, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, cast

Config = TypeVar("Config")
RENAMED = {"scene_depth": "relief"}  # what records, runs and bundles from before 0.8 of nano call it
# Settings that name files and folders of a machine.
PLACES = ("base", "data", "pairs", "encoder", "photos.cutouts", "photos.grounds")


def names_for_places(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration that keeps of files and folders the name alone."""
    found = {}
    for key, value in config.items():
        if isinstance(value, dict):
            value = {k: _name(v) if f"{key}.{k}" in PLACES else v for k, v in value.items()}
        found[key] = _name(value) if key in PLACES else value
    return found


def without_places(assignment: str) -> str:
    """`path.to.setting=value` with the name alone of a file or folder."""
    setting, _, value = assignment.partition("=")
    return f"{setting}={_name(value.strip())}" if setting.strip() in PLACES else assignment


def _name(path: str) -> str:
    return Path(path).name if path else path


def override(config: Config, assignments: Sequence[str]) -> Config:
    """`config` with every `path.to.setting=value` in place.

    ValueError, with what there is, where a setting is unknown or its value of another type.
    """
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals:
            raise ValueError(f"--set {assignment} assigns nothing: write --set NAME=VALUE.")
        config = _assigned(config, path.strip().split("."), text.strip(), path.strip())
    return config


def configuration(kind: type[Config], values: dict[str, Any], path: str = "", lacking: Config | None = None) -> Config:
    """A dataclass from what JSON kept of it; what JSON has no value for takes its default, and a whole group of
    settings that of the recipe `lacking`: an earlier version had no such group.

    ValueError where a name or a type does not fit.
    """
    values = values if path else {RENAMED.get(name, name): value for name, value in values.items()}
    hints, names = typing.get_type_hints(kind), {field.name for field in fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - names)
    if unknown:
        raise ValueError(_unknown(f"{path}.{unknown[0]}".strip("."), path, names))
    kept = {name: getattr(lacking, name, None) for name in names - set(values)}
    groups = {name: group for name, group in kept.items() if is_dataclass(group)}
    needed = {field.name for field in fields(kind) if field.default is MISSING and field.default_factory is MISSING}  # type: ignore[arg-type]
    if missing := needed - set(values) - set(groups):
        raise ValueError(f"{path or 'The recipe'} lacks {_listed(missing)}: give all of these.")
    found = {name: _typed(hints[name], value, f"{path}.{name}".strip(".")) for name, value in values.items()}
    return kind(**groups, **found)


def _assigned(node: Any, path: list[str], text: str, whole: str) -> Any:
    name, rest = path[0], path[1:]
    parent = whole.rsplit(".", len(path))[0] if whole.count(".") >= len(path) else ""
    if not isinstance(node, dict) and not is_dataclass(node):
        raise ValueError(f"{parent} is a value and has no settings of its own: write --set {parent}=VALUE.")
    there = {field.name for field in fields(node)} if is_dataclass(node) else set(node)
    if name not in there:
        raise ValueError(_unknown(whole, parent, there))
    old = getattr(node, name) if is_dataclass(node) else node[name]
    if rest:
        new = _assigned(old, rest, text, whole)
    elif is_dataclass(old):
        names = _listed({field.name for field in fields(old)})
        raise ValueError(f"{whole} is a group of settings: set one of {names}.")
    else:
        hint = typing.get_type_hints(type(node))[name] if is_dataclass(node) else type(old)
        new = _typed(hint, _read(hint, text), whole)
    return {**node, name: new} if isinstance(node, dict) else replace(cast(Any, node), **{name: new})


def _read(hint: Any, text: str) -> Any:
    """What was written, as JSON would hold it: words are strings, and `4,1,1` is a list."""
    if hint is str:
        return text
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        pass
    if typing.get_origin(hint) in (tuple, list) or hint in (tuple, list):
        return [_read(Any, part.strip()) for part in text.strip("()[]").split(",")]
    return {"True": True, "False": False, "None": None}.get(text, text)


def _typed(hint: Any, value: Any, path: str) -> Any:
    """`value` as `hint` says, which is a type of a configuration's field."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if origin in (Union, types.UnionType):
        return None if value is None and type(None) in inner else _typed(_only(inner), value, path)
    if origin is Literal:
        if value not in inner:
            raise ValueError(f"{path} is one of {', '.join(map(repr, inner))}, not {value!r}.")
        return value
    if is_dataclass(hint) and isinstance(value, dict):
        return configuration(hint, value, path)  # type: ignore[arg-type]
    if (origin or hint) is tuple and isinstance(value, list | tuple):
        return _typed_tuple(inner, value, path)
    if (origin or hint) is list and isinstance(value, list | tuple):
        return [_typed(inner[0] if inner else Any, item, path) for item in value]
    if (origin or hint) is dict and isinstance(value, dict):
        return {key: _typed(inner[1] if inner else Any, item, f"{path}.{key}") for key, item in value.items()}
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(hint, type) or not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise ValueError(f"{path} takes {_described(hint)}, and {value!r} is not.")
    return value


def _typed_tuple(inner: tuple[Any, ...], value: Sequence[Any], path: str) -> tuple[Any, ...]:
    if not inner:
        return tuple(value)
    hints = (inner[0],) * len(value) if inner[-1] is Ellipsis else inner
    if len(hints) != len(value):
        raise ValueError(f"{path} takes {len(hints)} values, not {len(value)}.")
    return tuple(_typed(hint, item, path) for hint, item in zip(hints, value, strict=True))


def _only(hints: tuple[Any, ...]) -> Any:
    kinds = [hint for hint in hints if hint is not type(None)]
    assert len(kinds) == 1, "settings are of one type, or of one type and None"
    return kinds[0]


def _described(hint: Any) -> str:
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "a word"}
    return names.get(hint, f"a {getattr(typing.get_origin(hint) or hint, '__name__', hint)}")


def _unknown(whole: str, parent: str, there: set[str]) -> str:
    return f"There is no setting {whole}: {parent or 'the recipe'} has {_listed(there)}."


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names))

"""What a bundle can do, laid over what the studio knows to ask: a form shows no more, and a request gets no more.

A bundle says it under `capabilities[kind]`: lists of choices, the JSON Schema of the requests that it was made for, and
its own defaults. Whatever it does not speak of is as the studio has it.
"""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import InitErrorDetails

Path = tuple[str, ...]
Schema = dict[str, Any]

LISTS: dict[str, Path] = {
    "camera_moves": ("camera", "move"),
    "subject_motions": ("subject", "motion"),
    "formats": ("format",),
}


@dataclass(frozen=True)
class Limits:
    """What one field may hold; None where nothing is said."""

    choices: tuple[Any, ...] | None = None
    least: float | None = None
    most: float | None = None
    longest: int | None = None

    def within(self, other: "Limits") -> "Limits":
        """Both at once."""
        mine, theirs = self.choices, other.choices
        both = mine if theirs is None else theirs if mine is None else tuple(one for one in mine if one in theirs)
        return Limits(
            both,
            _of_both(max, self.least, other.least),
            _of_both(min, self.most, other.most),
            _of_both(min, self.longest, other.longest),
        )

    def error(self, value: Any) -> tuple[str, dict[str, Any]] | None:
        """Pydantic's own type and context of what is wrong with the value; None when it may be."""
        if value is None:
            return None
        if self.choices is not None and value not in self.choices:
            return "literal_error", {"expected": ", ".join(map(repr, self.choices))}
        if self.least is not None and value < self.least:
            return "greater_than_equal", {"ge": self.least}
        if self.most is not None and value > self.most:
            return "less_than_equal", {"le": self.most}
        if self.longest is not None and len(value) > self.longest:
            return "string_too_long", {"max_length": self.longest}
        return None

    def nearest(self, value: Any) -> Any:
        """The value, or the one in its place where it may not be."""
        wrong = self.error(value)
        if wrong is None:
            return value
        if wrong[0] == "literal_error":
            return self.choices[0] if self.choices else value
        return value[: self.longest] if wrong[0] == "string_too_long" else next(iter(wrong[1].values()))


def narrowed_schema(model: type[BaseModel], can: dict[str, Any]) -> Schema:
    """The JSON Schema of the settings, with only what the bundle can do, and its defaults."""
    schema = model.model_json_schema()
    limits, defaults = _limits(model, can), default_settings(model, can)
    for path, node in _leaves(schema):
        _write(node, limits[path])
        if "default" in node:
            node["default"] = _at(defaults, path)
    for name, value in defaults.items():
        if "default" in schema["properties"].get(name, {}):
            schema["properties"][name]["default"] = value
    return schema


def default_settings(model: type[BaseModel], can: dict[str, Any]) -> dict[str, Any]:
    """What is taken for each setting that is left out: the bundle's choice, then the studio's, if it can do that."""
    fields = {
        name: field for name, field in model.model_fields.items() if not field.is_required() and not field.exclude
    }
    ours = {name: field.get_default(call_default_factory=True) for name, field in fields.items()}
    plain = {name: value.model_dump() if isinstance(value, BaseModel) else value for name, value in ours.items()}
    chosen = _filled(_known(can.get("defaults", {}), plain), plain)
    for path, limits in _limits(model, can).items():
        if path[0] in chosen:
            _put(chosen, path, limits.nearest(_at(chosen, path)))
    return chosen


def filled_settings(model: type[BaseModel], can: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """The settings as they were sent, with the defaults for what was left out."""
    return _filled(settings, default_settings(model, can))


def require_possible(settings: BaseModel, can: dict[str, Any]) -> None:
    """Raises pydantic.ValidationError for settings that are good, but not for this bundle."""
    values = settings.model_dump()
    wrong = []
    for path, limits in _limits(type(settings), can).items():
        value = _at(values, path)
        error = limits.error(value)
        if error is not None:
            wrong.append(InitErrorDetails(type=error[0], loc=path, input=value, ctx=error[1]))
    if wrong:
        raise ValidationError.from_exception_data(type(settings).__name__, wrong)


def _limits(model: type[BaseModel], can: dict[str, Any]) -> dict[Path, Limits]:
    """Of every field of the settings: the studio's own, narrowed by the bundle's."""
    said = {path: _read(node) for path, node in _leaves(can.get("schema", {}))}
    listed = {path: Limits(tuple(can[name])) for name, path in LISTS.items() if name in can}
    return {
        path: _read(node).within(said.get(path, Limits())).within(listed.get(path, Limits()))
        for path, node in _leaves(model.model_json_schema())
    }


# --- JSON Schema ------------------------------------------------------------------------------------------------------


def _leaves(schema: Schema) -> Iterator[tuple[Path, Schema]]:
    """Each field that has a value of its own, by its path; one that may be empty is told by what it is otherwise."""

    def walk(node: Schema, path: Path) -> Iterator[tuple[Path, Schema]]:
        for name, field in node.get("properties", {}).items():
            found = _resolved(schema, field)
            if "properties" in found:
                yield from walk(found, (*path, name))
            else:
                yield (*path, name), found

    return walk(schema, ())


def _resolved(root: Schema, node: Schema) -> Schema:
    if "$ref" in node:
        found: Schema = root["$defs"][node["$ref"].rsplit("/", 1)[-1]]
        return found
    return next((one for one in node.get("anyOf", []) if one.get("type") != "null"), node)


def _read(node: Schema) -> Limits:
    choices = node.get("enum", [node["const"]] if "const" in node else None)
    return Limits(
        None if choices is None else tuple(choices), node.get("minimum"), node.get("maximum"), node.get("maxLength")
    )


def _write(node: Schema, limits: Limits) -> None:
    said = {"minimum": limits.least, "maximum": limits.most, "maxLength": limits.longest}
    node.update({name: value for name, value in said.items() if value is not None})
    if limits.choices is not None and "const" not in node:
        node["enum"] = list(limits.choices)


# --- nested values ----------------------------------------------------------------------------------------------------


def _of_both(choose: Any, one: Any, other: Any) -> Any:
    given = [value for value in (one, other) if value is not None]
    return choose(given) if given else None


def _at(values: Any, path: Path) -> Any:
    for name in path:
        values = values.get(name) if isinstance(values, dict) else None
    return values


def _put(values: dict[str, Any], path: Path, value: Any) -> None:
    for name in path[:-1]:
        values = values[name]
    values[path[-1]] = value


def _filled(given: dict[str, Any], otherwise: dict[str, Any]) -> dict[str, Any]:
    """`given`, and what it leaves out; objects field by field."""
    whole = deepcopy(otherwise) | given
    for name, value in otherwise.items():
        if isinstance(value, dict) and isinstance(given.get(name), dict):
            whole[name] = _filled(given[name], value)
    return whole


def _known(given: dict[str, Any], names: dict[str, Any]) -> dict[str, Any]:
    """A bundle of another time may have defaults for what is not asked any more."""
    return {
        name: _known(value, names[name]) if isinstance(value, dict) and isinstance(names[name], dict) else value
        for name, value in given.items()
        if name in names
    }

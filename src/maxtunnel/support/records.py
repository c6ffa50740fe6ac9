"""Frozen dataclasses as JSON and back, field by field and type by type."""

import types
from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields, is_dataclass
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

# What JSON can say.
Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
Record = TypeVar("Record")


def to_json(record: object) -> dict[str, Json]:
    """The fields of a dataclass instance by name, dataclasses inside it too."""
    return asdict(record)  # type: ignore[call-overload]


def from_json(kind: type[Record], values: object) -> Record:
    """An instance of the dataclass `kind` from what `to_json` gave, and JSON kept.

    Args:
        kind: its fields are None, bool, int, float, str, literals, tuples, mappings and dataclasses of these.
        values: fields with a default may be absent.

    Raises:
        ValueError: a field is missing, unknown or of another type; the message names it.
    """
    if not isinstance(values, Mapping):
        raise ValueError(f"{type(values).__name__} is no {kind.__name__}")
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ValueError(f"a {kind.__name__} has no {unknown[0]!r}")
    hints = get_type_hints(kind)
    found = {}
    for name, field in known.items():
        if name in values:
            found[name] = _read(hints[name], values[name], f"{kind.__name__}.{name}")
        elif field.default is MISSING and field.default_factory is MISSING:
            raise ValueError(f"{kind.__name__}.{name} is missing")
    return kind(**found)


def changed(record: Record, **values: Json) -> Record:
    """A record with these fields in the place of its own; None leaves a field as it is.

    Raises:
        ValueError: as for `from_json`.
    """
    given = {name: value for name, value in values.items() if value is not None}
    return from_json(type(record), to_json(record) | given)


def _read(kind: Any, value: Any, name: str) -> Any:
    origin, parts = get_origin(kind), get_args(kind)
    if is_dataclass(kind) and isinstance(kind, type):
        return from_json(kind, value)
    if origin is Literal:
        return _expect(value in parts, value, name, f"one of {', '.join(map(repr, parts))}")
    if origin in (Union, types.UnionType):
        return _read_union(parts, value, name)
    if origin is tuple and isinstance(value, list | tuple):
        each = [parts[0]] * len(value) if parts[1:] == (...,) else list(parts)
        _expect(len(each) == len(value), value, name, f"{len(each)} values")
        return tuple(_read(part, item, name) for part, item in zip(each, value, strict=True))
    if origin is list and isinstance(value, list):
        return [_read(parts[0], item, name) for item in value]
    if isinstance(origin, type) and issubclass(origin, Mapping) and isinstance(value, Mapping):
        return {key: _read(parts[1], item, f"{name}[{key!r}]") for key, item in value.items()}
    if kind is float and type(value) is int:
        return float(value)
    return _expect(type(value) is kind, value, name, getattr(kind, "__name__", str(kind)))


def _read_union(kinds: tuple[Any, ...], value: Any, name: str) -> Any:
    """As the first of the types that fits."""
    if value is None and type(None) in kinds:
        return None
    for kind in kinds:
        try:
            return _read(kind, value, name)
        except ValueError:
            continue
    return _expect(False, value, name, " or ".join(getattr(kind, "__name__", str(kind)) for kind in kinds))


def _expect(holds: bool, value: Any, name: str, expected: str) -> Any:
    if not holds:
        raise ValueError(f"{name} is {str(value)[:60]!r}: expected {expected}")
    return value

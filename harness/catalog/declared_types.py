"""Holds a dataclass's values against the types that its fields declare, as nothing does at run time."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeProblem:
    """A value that does not fit its field.

    :param field: path of the field, such as ``traffic.phases[1].per_s``
    """

    field: str
    value: object
    expected: str


def type_problem(value: object) -> TypeProblem | None:
    """The first field of a dataclass, or of those inside it, whose value is not of the declared type; None if all are.

    Whole numbers do for ``float``; true and false are no numbers; not-a-number and infinity are no ``float``.
    """
    return next(_problems(type(value), value, ""), None)


def _problems(declared: object, value: object, path: str) -> Iterator[TypeProblem]:
    origin = typing.get_origin(declared)
    if origin in (typing.Union, types.UnionType):
        yield from _of_union(declared, value, path)
    elif origin is tuple:
        inner = typing.get_args(declared)[0]
        if not isinstance(value, tuple):
            hint = "; a single one needs a comma behind it" if _fits(inner, value) else ""
            yield TypeProblem(field=path, value=value, expected=f"a tuple{hint}")
            return
        for number, entry in enumerate(value):
            yield from _problems(inner, entry, f"{path}[{number}]")
    elif origin is not None and issubclass(origin, Mapping):
        key_type, value_type = typing.get_args(declared)
        if not isinstance(value, Mapping):
            yield TypeProblem(field=path, value=value, expected="a mapping, such as {…: …}")
            return
        for key, entry in value.items():
            yield from _problems(key_type, key, f"{path}, a key")
            yield from _problems(value_type, entry, f"{path}[{key!r}]")
    elif isinstance(declared, type):
        yield from _of_class(declared, value, path)


def _of_union(declared: object, value: object, path: str) -> Iterator[TypeProblem]:
    choices = typing.get_args(declared)
    if any(_fits(choice, value) for choice in choices):
        return
    # A value of one of the classes that has something wrong inside is told so, rather than that it is of no class.
    for choice in choices:
        whole = typing.get_origin(choice) or choice
        if (
            (dataclasses.is_dataclass(choice) or whole is tuple)
            and isinstance(whole, type)
            and isinstance(value, whole)
        ):
            yield from _problems(choice, value, path)
            return
    yield TypeProblem(field=path, value=value, expected=" or ".join(_name(choice) for choice in choices))


def _of_class(declared: type, value: object, path: str) -> Iterator[TypeProblem]:
    if declared in (float, int):
        numbers = (int, float) if declared is float else (int,)
        if isinstance(value, bool) or not isinstance(value, numbers) or not math.isfinite(value):
            yield TypeProblem(field=path, value=value, expected=_name(declared))
    elif not isinstance(value, declared):
        yield TypeProblem(field=path, value=value, expected=_name(declared))
    elif dataclasses.is_dataclass(declared):
        hints = typing.get_type_hints(declared)
        for field in dataclasses.fields(declared):
            yield from _problems(hints[field.name], getattr(value, field.name), f"{path}.{field.name}".lstrip("."))


def _fits(declared: object, value: object) -> bool:
    return next(_problems(declared, value, ""), None) is None


def _name(declared: object) -> str:
    names: dict[object, str] = {
        float: "a number",
        int: "a whole number",
        str: "a text",
        bool: "True or False",
        type(None): "None",
    }
    if declared in names:
        return names[declared]
    if isinstance(declared, type) and issubclass(declared, Enum):
        return " or ".join(f"{declared.__name__}.{member.name}" for member in declared)
    return declared.__name__ if isinstance(declared, type) else str(declared)

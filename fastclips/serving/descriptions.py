"""Texts that describe options: they differ if the options do, and are the same in every process.

A function is described by its module and qualified name, an array by a digest, a dataclass by its fields. Any
other object is described by its repr, or by its attributes if its class does not define a repr.
"""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass
from functools import cached_property, partial, singledispatch
from types import MethodType
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.functions import UserFunction
from fastclips.serving.state import digest_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

__all__ = ["column_digest", "describe"]

_DEPTH = 5  # of things within things
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def describe(thing: object) -> str:
    """Return the text of an option, such as a transform."""
    return _text(thing, 0)


def column_digest(column: NDArray[Any]) -> str:
    """Return a digest of numbers, the same on machines of any byte order."""
    numbers = column.astype(column.dtype.newbyteorder("<"), copy=False)
    return digest_of([np.ascontiguousarray(numbers).tobytes()])


@singledispatch
def _text(thing: object, depth: int) -> str:
    kind = type(thing)
    if callable(thing) and hasattr(thing, "__qualname__"):  # functions, classes, decorated functions
        return f"{thing.__module__}.{thing.__qualname__}"
    if depth > _DEPTH:
        return kind.__qualname__
    if is_dataclass(thing) or kind.__repr__ is object.__repr__:
        return f"{kind.__qualname__}({_named(_attributes(thing), depth)})"
    return _ADDRESS.sub("", repr(thing))


@_text.register
def _(thing: np.generic, depth: int) -> str:  # noqa: ARG001 - as of all
    return repr(thing.item())


@_text.register(np.ndarray)
def _(thing: NDArray[Any], depth: int) -> str:
    if thing.dtype.hasobject:
        return f"array{_text(thing.tolist(), depth + 1)}"
    return f"<{thing.dtype.name} {'x'.join(map(str, thing.shape))} {column_digest(thing)}>"


@_text.register
def _(thing: np.ufunc, depth: int) -> str:  # noqa: ARG001 - as of all
    return f"ufunc {thing.__name__}"


@_text.register
def _(thing: UserFunction, depth: int) -> str:
    return _text(thing.given, depth)


@_text.register(partial)
def _(thing: partial[Any], depth: int) -> str:
    given = [_listed((thing.func, *thing.args), depth), _named(thing.keywords, depth)]
    return f"partial({', '.join(filter(None, given))})"


@_text.register
def _(thing: MethodType, depth: int) -> str:
    return f"{_text(thing.__self__, depth + 1)}.{thing.__name__}"


@_text.register
def _(thing: tuple | list, depth: int) -> str:  # type: ignore[type-arg] # of anything
    return f"({_listed(thing, depth)})"


@_text.register
def _(thing: set | frozenset, depth: int) -> str:  # type: ignore[type-arg] # as above
    return f"{{{', '.join(sorted(_text(item, depth + 1) for item in thing))}}}"


@_text.register
def _(thing: dict, depth: int) -> str:  # type: ignore[type-arg] # as above
    items = (f"{_text(key, depth + 1)}: {_text(value, depth + 1)}" for key, value in thing.items())
    return f"{{{', '.join(items)}}}"


def _listed(things: Iterable[object], depth: int) -> str:
    return ", ".join(_text(thing, depth + 1) for thing in things)


def _named(things: Mapping[str, object], depth: int) -> str:
    return ", ".join(f"{name}={_text(thing, depth + 1)}" for name, thing in things.items())


def _attributes(thing: object) -> dict[str, object]:
    """Return the fields of a dataclass, and the other attributes of an object that are no caches."""
    kinds = type(thing).__mro__
    caches = {
        name for kind in kinds for name, it in vars(kind).items() if isinstance(it, cached_property)
    } | {"__weakref__", "__dict__"}
    names = [field.name for field in fields(thing)] if is_dataclass(thing) else []
    for kind in kinds:
        slots = vars(kind).get("__slots__", ())
        names += [slots] if isinstance(slots, str) else slots
    names += sorted(getattr(thing, "__dict__", ()))
    return {
        name: getattr(thing, name)
        for name in dict.fromkeys(names)
        if name not in caches and hasattr(thing, name)
    }

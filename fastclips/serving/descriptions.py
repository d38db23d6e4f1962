"""Texts that describe options: they differ if the options do, and are the same in every process.

A function or method is described by its module and qualified name, an array by a digest, a dataclass by its
fields, without those of `fastclips.options.ADDED` that have their defaults. Any other object is described by
its repr, or by its attributes if its class does not define a repr. Objects may be anything, since functions
of the user's hold what they like. So there are limits to what is looked at, beyond which things are described
by their class alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, is_dataclass
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
_THINGS = 2000
_ARRAY_BYTES = 2**26  # of an array; of a larger one, every nth number is read
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


@dataclass
class _Room:
    """What may still be looked at: so many things, so deep."""

    things: int = _THINGS
    depth: int = _DEPTH


def describe(thing: object) -> str:
    """Return the text of an option, such as a transform."""
    return _inner(thing, _Room())


def column_digest(column: NDArray[Any]) -> str:
    """Return a digest of numbers, the same on machines of any byte order."""
    numbers = column.astype(column.dtype.newbyteorder("<"), copy=False)
    return digest_of([np.ascontiguousarray(numbers).tobytes()])


def _inner(thing: object, room: _Room) -> str:
    if not room.things or not room.depth:
        return type(thing).__qualname__
    room.things -= 1
    room.depth -= 1
    try:
        return _text(thing, room)
    except Exception:  # noqa: BLE001 - of a repr or an attribute of the user's
        return type(thing).__qualname__
    finally:
        room.depth += 1


@singledispatch
def _text(thing: object, room: _Room) -> str:
    kind = type(thing)
    if callable(thing) and hasattr(thing, "__qualname__"):  # functions, classes, decorated functions
        return f"{thing.__module__}.{thing.__qualname__}"
    if is_dataclass(thing) or kind.__repr__ is object.__repr__:
        return f"{kind.__qualname__}({_named(_attributes(thing), room)})"
    return _ADDRESS.sub("", repr(thing))


@_text.register
def _(thing: np.generic, room: _Room) -> str:  # noqa: ARG001 - as of all
    return repr(thing.item())


@_text.register(np.ndarray)
def _(thing: NDArray[Any], room: _Room) -> str:
    if thing.dtype.hasobject:
        return f"array{_inner(thing.tolist(), room)}"
    step = -(-thing.nbytes // _ARRAY_BYTES)
    read = thing if step <= 1 else thing.reshape(-1)[::step]
    return f"<{thing.dtype.name} {'x'.join(map(str, thing.shape))} {column_digest(read)}>"


@_text.register
def _(thing: np.ufunc, room: _Room) -> str:  # noqa: ARG001 - as of all
    return f"ufunc {thing.__name__}"


@_text.register
def _(thing: UserFunction, room: _Room) -> str:
    return _text(thing.given, room)


@_text.register(partial)
def _(thing: partial[Any], room: _Room) -> str:
    given = [_listed((thing.func, *thing.args), room), _named(thing.keywords, room)]
    return f"partial({', '.join(filter(None, given))})"


@_text.register
def _(thing: MethodType, room: _Room) -> str:
    return _text(thing.__func__, room)


@_text.register
def _(thing: tuple | list, room: _Room) -> str:  # type: ignore[type-arg] # of anything
    return f"({_listed(thing, room)})"


@_text.register
def _(thing: set | frozenset, room: _Room) -> str:  # type: ignore[type-arg] # as above
    return f"{{{', '.join(sorted(_inner(item, room) for item in sorted(thing, key=repr)))}}}"


@_text.register
def _(thing: dict, room: _Room) -> str:  # type: ignore[type-arg] # as above
    return f"{{{', '.join(f'{_inner(key, room)}: {_inner(value, room)}' for key, value in thing.items())}}}"


def _listed(things: Iterable[object], room: _Room) -> str:
    return ", ".join(_inner(thing, room) for thing in things)


def _named(things: Mapping[str, object], room: _Room) -> str:
    return ", ".join(f"{name}={_inner(thing, room)}" for name, thing in things.items())


def _attributes(thing: object) -> dict[str, object]:
    """Return the fields of a dataclass, and the other attributes of an object that are no caches."""
    kinds = type(thing).__mro__
    caches = {name for kind in kinds for name, it in vars(kind).items() if isinstance(it, cached_property)}
    own = fields(thing) if is_dataclass(thing) else ()
    names = [field.name for field in own]
    later = {f.name for f in own if f.metadata.get("later") and getattr(thing, f.name, None) == f.default}
    for kind in kinds:
        slots = vars(kind).get("__slots__", ())
        names += [slots] if isinstance(slots, str) else slots
    names += sorted(getattr(thing, "__dict__", ()))
    return {
        name: getattr(thing, name)
        for name in dict.fromkeys(names)
        if name not in caches and name not in later and not name.startswith("__") and hasattr(thing, name)
    }

"""A user's function of each batch, `map=` of every adapter. It runs in the trainer, after the workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastclips.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["checked_map", "mapped"]

_PARTS = 3  # x, y, weight


def checked_map(function: object) -> Callable[..., Any] | None:
    """Return the function, or None for no function."""
    if function is not None and not callable(function):
        raise OptionError(f"map={function!r}: must be a function of x, of x and y, or of x, y and weight")
    return function


def mapped(function: Callable[..., Any] | None, batch: Any) -> Any:  # noqa: ANN401 - the user's choice
    """Return what the function makes of a batch: x, or a tuple of one to three parts."""
    if function is None:
        return batch
    made = function(*batch) if isinstance(batch, tuple) else function(batch)
    if made is None or (isinstance(made, tuple) and not 1 <= len(made) <= _PARTS):
        given = "None" if made is None else f"a tuple of {len(made)}"
        raise OptionError(f"map= returned {given}: must return x, (x, y) or (x, y, weight)")
    return made

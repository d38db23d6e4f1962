"""Checks of the options that describe the streams of a dataset."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.errors import OptionError
from fastclips.options import checked_int
from fastclips.reserved import RESERVED
from fastclips.spec import Stream

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["MASKS", "make_streams", "mask_options"]

MASKS = ("mask",)  # the streams that are masks by default
_VALUES = 256  # of a byte
_OF_MASK = "a mask's value in values"


def make_streams(names: Sequence[str], masks: Iterable[str], mask: dict[str, Any]) -> tuple[Stream, ...]:
    """Return the streams of some names.

    Parameters
    ----------
    names : sequence of str
        Names of all streams.
    masks : iterable of str
        Names of the streams that are masks.
    mask : dict
        The options of the masks, from `mask_options`.

    Raises
    ------
    OptionError
        A name is reserved or not a str, `masks` names an unknown stream, or mask options are given but no
        stream is a mask.
    """
    if not isinstance(masks, (str, Iterable)):
        raise OptionError(f"masks={masks!r}: must be names of streams, as in ('mask',)")
    masks = (masks,) if isinstance(masks, str) else tuple(masks)
    taken = [name for name in names if name in RESERVED or not isinstance(name, str) or not name]
    if taken:
        raise OptionError(
            f"a stream cannot be named {taken[0]!r}: must be a str that is not empty and none of "
            f"{', '.join(RESERVED)}"
        )
    if not names:
        raise OptionError("source={}: must name a stream, as in source={'image': path}")
    unknown = [name for name in masks if name not in (*names, "mask")]  # "mask", the default, is allowed
    if unknown:
        raise OptionError(
            f"masks={masks!r}: must name streams, but {unknown[0]!r} is not one of {', '.join(names)}"
        )
    given = [knob for knob in ("colors", "values") if mask[knob] is not None]
    if given and not any(name in masks for name in names):
        raise OptionError(
            f"{given[0]}= is for masks, but none of the streams {', '.join(names)} is in masks=: add the "
            "mask to masks="
        )
    return tuple(Stream(name, mask=True, **mask) if name in masks else Stream(name) for name in names)


def mask_options(
    colors: Mapping[tuple[int, int, int], int] | None,
    values: Mapping[int, int] | Sequence[int] | None,
    ignore: int,
) -> dict[str, Any]:
    """Check the mask options of `open_dataset`; return them as arguments of `Stream`."""
    pairs = None
    if colors is not None:
        if not isinstance(colors, Mapping) or not colors or any(np.shape(c) != (3,) for c in colors):
            raise OptionError(f"colors={colors!r}: must map colours to mask values, as in {{(255, 0, 0): 1}}")
        pairs = tuple(
            (
                tuple(_byte(part, f"a part of colour {color!r} in colors") for part in color),
                _byte(value, "a mask's value in colors"),
            )
            for color, value in colors.items()
        )
    table = None
    if isinstance(values, Mapping):
        changed = {_byte(old, _OF_MASK): _byte(new, _OF_MASK) for old, new in values.items()}
        table = tuple(changed.get(value, value) for value in range(_VALUES))
    elif values is not None:
        if not isinstance(values, Iterable):
            raise OptionError(f"values={values!r}: must be a mapping, or a sequence of {_VALUES} integers")
        table = tuple(_byte(value, _OF_MASK) for value in values)
        if len(table) != _VALUES:
            raise OptionError(
                f"values= has {len(table)} entries; give all {_VALUES}, or a dict of those that change"
            )
    every = table is not None and len(values or ()) == _VALUES
    return {"colors": pairs, "values": table, "smeared": every, "ignore": _byte(ignore, "ignore")}


def _byte(value: object, knob: str) -> int:
    return checked_int(value, knob, 0, _VALUES)

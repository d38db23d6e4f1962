"""Mirroring, and the labels and values of masks that it swaps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastclips.errors import OptionError
from fastclips.options import check_per, checked_int
from fastclips.reserved import LABEL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from fastclips.pixels.geometry.affine import Geometry

__all__ = ["RandomFlip", "check_mirrors", "swap_table"]

_PAIR = 2


@dataclass(frozen=True)
class RandomFlip:
    """Mirror left and right, or top and bottom.

    Mirroring can change what a label or a mask says: "turn left" becomes "turn right". `label_map` and
    `mask_map` swap such classes and values in mirrored clips. With either of them, no other transform of the
    list may mirror left and right.

    Parameters
    ----------
    p : float
        Share of clips (of frames, with ``per="frame"``) whose left and right are mirrored.
    vertical : float
        Share of clips (or frames) whose top and bottom are mirrored, drawn independently of `p`.
    label_map : mapping, optional
        Classes to swap, by name or number, each pair once: ``{"turn left": "turn right"}``. Applies to labels
        of clips, labels of frames and several labels (their columns), in batches, weights by class and
        `plan_table`. These are the classes of the labels called ``"label"``; of labels with other names, give
        them by name: ``{"verb": {"turn left": "turn right"}}``. Labels that are numbers, such as a steering
        angle, do not change where a clip is mirrored: leave `RandomFlip` out. A frame alone cannot swap the
        label of its clip, so not with ``per="frame"``.
    mask_map : mapping of int to int, optional
        Values of masks to swap, each pair once: ``{3: 4}``. They are the values in the batch, after the
        `values` or `colors` of `fastclips.open`.
    per : {"clip", "frame", "video"}
        How often is drawn: once for all frames of a clip, for each frame, or once for all clips
        of a video, in each epoch anew.

    Raises
    ------
    OptionError
        If an option is out of range, or `label_map` is given with ``per="frame"``.

    Examples
    --------
    >>> flip = fc.RandomFlip(p=1.0, label_map={"class_0": "class_1"})
    >>> data, windows = fc.open("frames/"), fc.Windows(12)
    >>> loader = fc.ClipLoader(data, windows, [flip], batch_size=6, shuffle=False, workers=0)
    >>> next(iter(loader))[1].tolist()  # without label_map: [0, 0, 0, 1, 1, 1]
    [1, 1, 1, 0, 0, 0]
    """

    p: float = 0.5
    vertical: float = 0.0
    _: KW_ONLY
    label_map: (
        Mapping[str | int, str | int]
        | Mapping[str, Mapping[str | int, str | int]]
        | tuple[tuple[Any, Any], ...]
        | None
    ) = None
    mask_map: Mapping[int, int] | tuple[tuple[int, int], ...] | None = None
    per: str = "clip"
    fixes_size: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for name in ("p", "vertical"):
            value = getattr(self, name)
            if not isinstance(value, Real) or not 0 <= float(value) <= 1:
                raise OptionError(f"RandomFlip's {name}={value!r}: must be a number from 0 to 1")
            object.__setattr__(self, name, float(value))  # compared in two processes, and for arrays
        object.__setattr__(self, "label_map", _label_pairs(self.label_map))
        object.__setattr__(self, "mask_map", _pairs(self.mask_map, "mask_map", _check_value))
        check_per(self)
        if self.label_map is not None and self.per == "frame":
            raise OptionError(
                "RandomFlip's per='frame': must be 'clip' or 'video' with label_map=, since some frames "
                "cannot swap the label of their clip; leave out one of the two"
            )

    @property
    def draws(self) -> int:
        """Numbers in [0, 1) used up: a second one only if `vertical` is above 0."""
        return 1 + (self.vertical > 0)

    @property
    def label_pairs(self) -> dict[str, tuple[tuple[str | int, str | int], ...]]:
        """Classes that are swapped in mirrored clips, by the names of labels."""
        pairs: Any = self.label_map or ()  # pairs by now
        return dict(pairs) if _are_named(pairs) else {LABEL: pairs} if pairs else {}

    @property
    def mask_pairs(self) -> tuple[tuple[int, int], ...]:
        """Values of masks that are swapped in mirrored frames."""
        return self.mask_map or ()  # type: ignore[return-value]  # pairs by now

    @property
    def may_mirror(self) -> bool:
        """Whether left and right can be mirrored."""
        return self.p > 0

    def mirrors(self, draw: Any) -> Any:  # noqa: ANN401 - a number, or an array of them
        """Whether left and right are mirrored, by the first of the transform's draws."""
        return draw < self.p

    def compose(self, geometry: Geometry, draws: Sequence[float]) -> Geometry:
        """Return the map of this transform after `geometry`."""
        across, down = self.flips(draws)
        if across:
            geometry = geometry._replace(x=geometry.x.mirror())
        if down:
            geometry = geometry._replace(y=geometry.y.mirror())
        return geometry

    def flips(self, draws: Sequence[float]) -> tuple[bool, bool]:
        """Return whether left and right are mirrored, and whether top and bottom are."""
        return self.mirrors(draws[0]), self.vertical > 0 and draws[1] < self.vertical


def swap_table(pairs: Iterable[tuple[int, int]], size: int) -> NDArray[np.intp]:
    """Return the numbers below `size`, those of each pair swapped: ``table[old]`` is the new number."""
    table = np.arange(size)
    for first, second in pairs:
        table[[first, second]] = second, first
    return table


def check_mirrors(transforms: Iterable[Any]) -> None:
    """Raise `OptionError` if another transform may mirror besides a flip that swaps labels or mask values."""
    transforms = tuple(transforms)
    swapping = [
        flip for flip in transforms if isinstance(flip, RandomFlip) and (flip.label_pairs or flip.mask_pairs)
    ]
    others = [
        transform
        for transform in transforms
        if swapping and getattr(transform, "may_mirror", False) and transform is not swapping[0]
    ]
    if others:
        raise OptionError(
            f"{swapping[0]!r} swaps labels or mask values where it mirrors, but {others[0]!r} may mirror as "
            "well: leave one of them out"
        )


def _pairs(value: object, name: str, check: Callable[[object], None]) -> tuple[tuple[Any, Any], ...] | None:
    """Return a mapping of things to swap as pairs, each once; None if there are none."""
    if value is None:
        return None
    given = tuple(value.items()) if isinstance(value, Mapping) else value
    pairs = given if isinstance(given, tuple) else (None,)
    if not all(isinstance(pair, tuple) and len(pair) == _PAIR for pair in pairs):
        raise OptionError(f"RandomFlip's {name}={value!r}: must be a mapping, as in {{3: 4}}")
    partners: dict[object, object] = {}
    for pair in pairs:
        for key, partner in (pair, pair[::-1]):
            check(key)
            if key == partner or partners.setdefault(key, partner) != partner:
                raise OptionError(f"RandomFlip's {name}={value!r}: must pair {key!r} with one other")
    return tuple(pair for number, pair in enumerate(pairs) if pair[::-1] not in pairs[:number]) or None


def _are_named(pairs: tuple[tuple[Any, Any], ...]) -> bool:
    """Whether these are pairs of names and pairs of classes."""
    return bool(pairs) and all(isinstance(pair, tuple) and isinstance(pair[-1], tuple) for pair in pairs)


def _label_pairs(value: object) -> tuple[tuple[Any, Any], ...] | None:
    """Return classes to swap as pairs, or pairs of the names of labels and such pairs."""
    given = tuple(value.items()) if isinstance(value, Mapping) else value
    nested = isinstance(given, tuple) and any(
        isinstance(pair, tuple) and isinstance(pair[-1], (Mapping, tuple)) for pair in given if pair
    )
    if not nested or not isinstance(given, tuple):
        return _pairs(value, "label_map", _check_class)
    named: list[tuple[str, Any]] = []
    for pair in given:
        if len(pair) != _PAIR or not isinstance(pair[0], str) or not isinstance(pair[1], (Mapping, tuple)):
            raise OptionError(
                f"RandomFlip's label_map={value!r}: must map classes to classes, or names of labels to such "
                "mappings, not both"
            )
        pairs = _pairs(pair[1], f"label_map of {pair[0]!r}", _check_class)
        if pairs:
            named.append((pair[0], pairs))
    return tuple(named) or None


def _check_class(value: object) -> None:
    if not isinstance(value, str):
        checked_int(value, "a class in RandomFlip's label_map", 0)


def _check_value(value: object) -> None:
    checked_int(value, "a value in RandomFlip's mask_map", 0, 256)

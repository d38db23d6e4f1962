"""What is done to a clip: declarations that add up to one recipe.

A recipe is one geometry map and an ordered list of pixel steps::

    output pixel --(map: box, size, mirror)--> source position --(resample once)--> value --(steps)-->

Each geometry transform composes its own map onto the one before it, so that however many are listed, a
pixel is resampled at most once, and a pure crop or flip not at all; the result covers whole source pixels.
The pixel steps of the image fuse into one table of 256 entries per channel. Geometry holds for every
stream, pixel steps for pictures alone.

Transforms hold no random state: the plan gives each clip numbers in [0, 1), each transform uses up
`draws` of them, and `Recipe.geometry` turns them into pixels once a frame's size is known.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from numbers import Real
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

import numpy as np

from fastclips.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from numpy.typing import NDArray

__all__ = [
    "CenterCrop",
    "Geometry",
    "GeometryTransform",
    "Normalize",
    "RandomCrop",
    "RandomFlip",
    "Recipe",
    "Resize",
    "compile_recipe",
]


@dataclass(frozen=True)
class Axis:
    """One axis of a map: `size` output pixels that run from one source edge to another, evenly.

    Edges, unlike centres, are whole numbers where nothing is resampled. Running backwards mirrors.
    """

    size: int
    start: float
    stop: float

    @classmethod
    def whole(cls, size: int) -> Axis:
        """Return the map of a frame onto itself."""
        return cls(size, 0.0, float(size))

    @property
    def scale(self) -> float:
        """Source pixels per output pixel; negative if mirrored."""
        return (self.stop - self.start) / self.size

    @property
    def box(self) -> tuple[float, float]:
        """First and last edge of the source that the output covers."""
        return min(self.start, self.stop), max(self.start, self.stop)

    @property
    def is_exact(self) -> bool:
        """Whether every output pixel is one source pixel."""
        return abs(self.stop - self.start) == self.size and self.start.is_integer()

    def crop(self, first: int, size: int) -> Axis:
        """Keep `size` output pixels from `first` on."""
        return Axis(size, self.start + self.scale * first, self.start + self.scale * (first + size))

    def resize(self, size: int) -> Axis:
        """Stretch to `size` output pixels."""
        return replace(self, size=size)

    def mirror(self) -> Axis:
        """Run the other way."""
        return Axis(self.size, self.stop, self.start)

    def snap(self) -> Axis:
        """Move the edges to the nearest whole pixels, one apart at least."""
        low, high = (math.floor(edge + 0.5) for edge in self.box)
        if low == high:
            low = math.floor(sum(self.box) / 2)  # within the frame, as its middle is
            high = low + 1
        edges = (float(low), float(high)) if self.start < self.stop else (float(high), float(low))
        return Axis(self.size, *edges)


@dataclass(frozen=True)
class Geometry:
    """The map of one clip from output pixels to a frame's.

    Parameters
    ----------
    y, x : Axis
        The two axes; they never mix.
    """

    y: Axis
    x: Axis

    @property
    def is_crop(self) -> bool:
        """Whether the map is a crop, mirrored or not, that needs no resampling."""
        return self.y.is_exact and self.x.is_exact

    @property
    def flip(self) -> bool:
        """Whether left and right change places."""
        return self.x.start > self.x.stop


@runtime_checkable
class GeometryTransform(Protocol):
    """A declaration that composes onto the geometry map."""

    @property
    def draws(self) -> int:
        """Numbers in [0, 1) used up per clip."""

    @property
    def fixes_size(self) -> bool:
        """Whether the output's size is the same for frames of any size."""

    def compose(self, geometry: Geometry, draws: Sequence[float]) -> Geometry:
        """Return the map of this transform after `geometry`."""


def _size(value: int | tuple[int, int], name: str) -> tuple[int, int]:
    pair = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(pair) != 2 or any(  # noqa: PLR2004 - height and width
        isinstance(v, bool) or not isinstance(v, (int, np.integer)) or v < 1 for v in pair
    ):
        raise OptionError(f"{name} must be a positive int or (height, width), not {value!r}")
    return int(pair[0]), int(pair[1])


def _check_fits(size: tuple[int, int], geometry: Geometry, name: str) -> None:
    height, width = geometry.y.size, geometry.x.size
    if size[0] > height or size[1] > width:
        raise OptionError(
            f"{name} of {size[0]}x{size[1]} (height x width) is larger than the frame's {height}x{width} "
            f"at that point; make the crop smaller or put Resize(short_side={max(size)}) before it"
        )


def _pick(draw: float, choices: int) -> int:
    return min(int(draw * choices), choices - 1)


@dataclass(frozen=True)
class RandomCrop:
    """Cut out a box at random: one box for all frames of a clip and for every stream.

    Parameters
    ----------
    size : int or (int, int)
        Side, or (height, width), of the box in pixels.
    """

    size: int | tuple[int, int]
    draws: ClassVar[int] = 2
    fixes_size: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", _size(self.size, "RandomCrop's size"))

    def compose(self, geometry: Geometry, draws: Sequence[float]) -> Geometry:
        """Return the map of this transform after `geometry`."""
        height, width = size = _size(self.size, "")
        _check_fits(size, geometry, "RandomCrop")
        top = _pick(draws[0], geometry.y.size - height + 1)
        left = _pick(draws[1], geometry.x.size - width + 1)
        return Geometry(geometry.y.crop(top, height), geometry.x.crop(left, width))


@dataclass(frozen=True)
class CenterCrop:
    """Cut out the box in the middle (where a pixel is left over, it lies below and to the right).

    Parameters
    ----------
    size : int or (int, int)
        Side, or (height, width), of the box in pixels.
    """

    size: int | tuple[int, int]
    draws: ClassVar[int] = 0
    fixes_size: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", _size(self.size, "CenterCrop's size"))

    def compose(self, geometry: Geometry, draws: Sequence[float]) -> Geometry:  # noqa: ARG002 - protocol
        """Return the map of this transform after `geometry`."""
        height, width = size = _size(self.size, "")
        _check_fits(size, geometry, "CenterCrop")
        top, left = (geometry.y.size - height) // 2, (geometry.x.size - width) // 2
        return Geometry(geometry.y.crop(top, height), geometry.x.crop(left, width))


@dataclass(frozen=True)
class RandomFlip:
    """Mirror left and right: all frames of a clip, or none.

    Parameters
    ----------
    p : float
        Share of clips that are mirrored.
    """

    p: float = 0.5
    draws: ClassVar[int] = 1
    fixes_size: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not isinstance(self.p, Real) or not 0 <= self.p <= 1:
            raise OptionError(f"RandomFlip's p must lie between 0 and 1, not {self.p!r}")

    def compose(self, geometry: Geometry, draws: Sequence[float]) -> Geometry:
        """Return the map of this transform after `geometry`."""
        return replace(geometry, x=geometry.x.mirror()) if draws[0] < self.p else geometry


@dataclass(frozen=True)
class Resize:
    """Scale to a size; exactly one of the parameters is given.

    Pictures are sampled bilinearly, masks by nearest neighbour.

    Parameters
    ----------
    size : int or (int, int), optional
        Side, or (height, width), of the result in pixels; the aspect may change.
    short_side : int, optional
        Pixels of the shorter side; the aspect is kept, the longer side rounded to the nearest pixel.
    """

    size: int | tuple[int, int] | None = None
    short_side: int | None = None
    draws: ClassVar[int] = 0

    def __post_init__(self) -> None:
        if (self.size is None) == (self.short_side is None):
            raise OptionError(
                f"Resize needs either a size or short_side, not size={self.size!r} and "
                f"short_side={self.short_side!r}"
            )
        if self.size is not None:
            object.__setattr__(self, "size", _size(self.size, "Resize's size"))
        else:
            if isinstance(self.short_side, (tuple, list)):
                raise OptionError(f"Resize's short_side must be a positive int, not {self.short_side!r}")
            short, _ = _size(self.short_side, "Resize's short_side")  # type: ignore[arg-type]
            object.__setattr__(self, "short_side", short)

    @property
    def fixes_size(self) -> bool:
        """Whether the output's size is the same for frames of any size."""
        return self.size is not None

    def compose(self, geometry: Geometry, draws: Sequence[float]) -> Geometry:  # noqa: ARG002 - protocol
        """Return the map of this transform after `geometry`."""
        if self.short_side is None:
            height, width = _size(self.size, "")  # type: ignore[arg-type]
        else:
            scale = self.short_side / min(geometry.y.size, geometry.x.size)
            height, width = (math.floor(axis.size * scale + 0.5) for axis in (geometry.y, geometry.x))
        return Geometry(geometry.y.resize(height), geometry.x.resize(width))


@dataclass(frozen=True)
class Normalize:
    """Turn bytes into (value / 255 - mean) / std.

    Applies to pictures alone, after the geometry, wherever it stands in the list.

    Parameters
    ----------
    mean, std : float or sequence of 3 float
        For all channels, or for red, green and blue, of values scaled to [0, 1].
    dtype : {"float32", "float16"}
        Type of the batch.
    """

    mean: float | tuple[float, ...] = 0.0
    std: float | tuple[float, ...] = 1.0
    dtype: str = "float32"

    def __post_init__(self) -> None:
        for name in ("mean", "std"):
            try:
                value = np.atleast_1d(np.asarray(getattr(self, name), np.float64))
            except (TypeError, ValueError):
                value = np.empty(0)
            if value.shape not in ((1,), (3,)) or not np.isfinite(value).all():
                raise OptionError(
                    f"Normalize's {name} must be one number or three, not {getattr(self, name)!r}"
                )
            object.__setattr__(self, name, tuple(value.tolist()))
        if min(self.std) <= 0:  # type: ignore[arg-type]
            raise OptionError(f"Normalize's std must be positive, not {self.std!r}")
        if not 0 <= min(self.mean) <= max(self.mean) <= 1:  # type: ignore[arg-type]
            raise OptionError(
                f"Normalize's mean is of values scaled to [0, 1], not {self.mean!r}: divide by 255"
            )
        if str(self.dtype) not in ("float32", "float16"):
            raise OptionError(f"Normalize's dtype must be 'float32' or 'float16', not {self.dtype!r}")
        largest = np.abs(self.values(np.tile([0.0, 255.0], (3, 1)))).max()
        if largest > np.finfo(self.dtype).max:
            raise OptionError(f"Normalize's values reach {largest:.3g}, too much for dtype={self.dtype!r}")

    def values(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Apply to a (3, n) table of values on the scale of bytes."""
        mean, std = (np.broadcast_to(v, 3)[:, None] for v in (self.mean, self.std))
        return np.asarray((values / 255 - mean) / std)


@dataclass(frozen=True)
class Recipe:
    """What is done to each clip; made by `compile_recipe`.

    Parameters
    ----------
    transforms : tuple of GeometryTransform
        In the order in which they compose.
    normalize : Normalize or None
        The pixel step.
    channels_first : bool
        Whether pictures come as (C, H, W).
    """

    transforms: tuple[GeometryTransform, ...]
    normalize: Normalize | None
    channels_first: bool

    @property
    def draws(self) -> int:
        """Numbers in [0, 1) used up per clip."""
        return sum(transform.draws for transform in self.transforms)

    @property
    def fixes_size(self) -> bool:
        """Whether the output's size is the same for frames of any size."""
        return any(transform.fixes_size for transform in self.transforms)

    @property
    def dtype(self) -> str:
        """Type of the pictures in a batch."""
        return "uint8" if self.normalize is None else self.normalize.dtype

    def table(self) -> NDArray[Any] | None:
        """Return the pixel steps as one (3, 256) table of `dtype`, or None where there are none."""
        if self.normalize is None:
            return None
        identity = np.tile(np.arange(256, dtype=np.float64), (3, 1))
        return self.normalize.values(identity).astype(self.dtype)

    def geometry(self, height: int, width: int, draws: Sequence[float]) -> Geometry:
        """Resolve a clip's draws for frames of a size; pure.

        Parameters
        ----------
        height, width : int
            Size of the frame in pixels.
        draws : sequence of float
            The clip's numbers in [0, 1), `Recipe.draws` of them.

        Returns
        -------
        Geometry
            The composed map, its box moved to whole pixels of the frame: a view of what was decoded, and
            nothing beside it need be.

        Raises
        ------
        OptionError
            If a crop is larger than what it crops.
        """
        geometry, used = Geometry(Axis.whole(height), Axis.whole(width)), 0
        for transform in self.transforms:
            geometry = transform.compose(geometry, draws[used : used + transform.draws])
            used += transform.draws
        return Geometry(geometry.y.snap(), geometry.x.snap())


def compile_recipe(
    transforms: Iterable[GeometryTransform | Normalize], *, channels_first: bool = False
) -> Recipe:
    """Check a list of transforms and make it a recipe.

    Parameters
    ----------
    transforms : iterable
        Declarations of this module, in order.
    channels_first : bool
        Whether pictures come as (C, H, W) instead of (H, W, C).

    Returns
    -------
    Recipe
        For every clip.

    Raises
    ------
    OptionError
        If something in the list is no transform, or Normalize stands there twice.
    """
    geometry, pixels = [], []
    try:
        transforms = tuple(transforms)
    except TypeError:
        raise OptionError(f"transforms={transforms!r}: must be a list, as in [RandomCrop(224)]") from None
    for transform in transforms:
        if isinstance(transform, Normalize):
            pixels.append(transform)
        elif not isinstance(transform, type) and isinstance(transform, GeometryTransform):
            geometry.append(transform)
        else:
            raise OptionError(
                f"{transform!r} in transforms is no transform; use instances, such as RandomCrop(224)"
            )
    if len(pixels) > 1:
        raise OptionError("Normalize stands more than once in transforms; combine mean and std into one")
    return Recipe(tuple(geometry), pixels[0] if pixels else None, channels_first)

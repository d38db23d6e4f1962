"""What is done to a clip: declarations that add up to one recipe.

A recipe is one geometry map and an ordered list of pixel steps::

    output pixel --(map: box, size, mirror)--> source position --(resample once)--> value --(steps)-->

Each geometry transform composes its own map onto the one before it, so that however many are listed, a
pixel is resampled at most once, and a pure crop or flip not at all; the result covers whole source pixels.
Geometry holds for every stream, pixel steps (`fastclips.pixels.steps`) for pictures alone.

Transforms hold no random state: the plan gives each clip numbers in [0, 1), each transform uses up
`draws` of them, those of the geometry first, and `Recipe.geometry` turns them into pixels once a frame's size
is known.

Some transforms have several *views*, each a map of its own: a clip then comes once for each, told apart by
its ticket's `view`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from numbers import Real
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

import numpy as np

from fastclips.errors import OptionError
from fastclips.options import checked_bool
from fastclips.pixels.geometry import Axis, Geometry
from fastclips.pixels.normalize import Normalize
from fastclips.pixels.steps import CompiledSteps, PixelStep, count_draws, is_step

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from typing_extensions import TypeIs

__all__ = [
    "CenterCrop",
    "Geometry",
    "GeometryTransform",
    "Normalize",
    "RandomCrop",
    "RandomFlip",
    "Recipe",
    "Resize",
    "TenCrop",
    "ThreeCrop",
    "ViewTransform",
    "compile_recipe",
]


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


@runtime_checkable
class ViewTransform(Protocol):
    """A declaration that gives each clip several views, each of which composes onto the geometry map."""

    @property
    def views(self) -> int:
        """How many views."""

    @property
    def fixes_size(self) -> bool:
        """Whether the output's size is the same for frames of any size."""

    def compose_view(self, geometry: Geometry, number: int) -> Geometry:
        """Return the map of view `number`, from 0, after `geometry`; all of one size."""


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
class ThreeCrop:
    """Cut out three boxes, each clip once for each: start, middle and end of the frame's longer side.

    On the other side they lie in the middle, as in `CenterCrop`; of a square frame, the width is cut up.

    Parameters
    ----------
    size : int or (int, int)
        Side, or (height, width), of the boxes in pixels.
    """

    size: int | tuple[int, int]
    views: ClassVar[int] = 3
    fixes_size: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", _size(self.size, "ThreeCrop's size"))

    def compose_view(self, geometry: Geometry, number: int) -> Geometry:
        """Return the map of view `number`, from 0, after `geometry`."""
        height, width = size = _size(self.size, "")
        _check_fits(size, geometry, "ThreeCrop")
        down, across = geometry.y.size - height, geometry.x.size - width
        top, left = down // 2, across // 2
        if geometry.y.size > geometry.x.size:
            top = (0, top, down)[number]
        else:
            left = (0, left, across)[number]
        return Geometry(geometry.y.crop(top, height), geometry.x.crop(left, width))


@dataclass(frozen=True)
class TenCrop:
    """Cut out five boxes, each clip once for each and once more mirrored.

    Views 0 to 4 are the box at the top left, top right, bottom left, bottom right and in the middle, as in
    `CenterCrop`; views 5 to 9 are the same boxes in that order, left and right changing places within each.

    Parameters
    ----------
    size : int or (int, int)
        Side, or (height, width), of the boxes in pixels.
    """

    size: int | tuple[int, int]
    views: ClassVar[int] = 10
    fixes_size: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", _size(self.size, "TenCrop's size"))

    def compose_view(self, geometry: Geometry, number: int) -> Geometry:
        """Return the map of view `number`, from 0, after `geometry`."""
        height, width = size = _size(self.size, "")
        _check_fits(size, geometry, "TenCrop")
        mirrored, place = divmod(number, 5)
        down, across = geometry.y.size - height, geometry.x.size - width
        corners = ((0, 0), (0, across), (down, 0), (down, across), (down // 2, across // 2))
        top, left = corners[place]
        x = geometry.x.crop(left, width)
        return Geometry(geometry.y.crop(top, height), x.mirror() if mirrored else x)


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


def _has_views(transform: GeometryTransform | ViewTransform) -> TypeIs[ViewTransform]:
    return hasattr(transform, "compose_view")  # isinstance takes far longer


@dataclass(frozen=True)
class Recipe:
    """What is done to each clip; made by `compile_recipe`.

    Parameters
    ----------
    transforms : tuple of GeometryTransform or ViewTransform
        In the order in which they compose.
    steps : tuple of PixelStep
        In the order in which they act.
    channels_first : bool
        Whether pictures come as (C, H, W).
    time_steps : int
        Frames of a clip.
    """

    transforms: tuple[GeometryTransform | ViewTransform, ...]
    steps: tuple[PixelStep, ...]
    channels_first: bool
    time_steps: int

    @property
    def geometry_draws(self) -> int:
        """Numbers in [0, 1) used up per clip by its geometry: the first ones."""
        return sum(transform.draws for transform in self.transforms if not _has_views(transform))

    @property
    def draws(self) -> int:
        """Numbers in [0, 1) used up per clip."""
        return self.geometry_draws + count_draws(self.steps, self.time_steps)

    @property
    def views(self) -> int:
        """How many times a clip comes, each time in another view: the product over all transforms."""
        return math.prod(transform.views for transform in self.transforms if _has_views(transform))

    @property
    def fixes_size(self) -> bool:
        """Whether the output's size is the same for frames of any size."""
        return any(transform.fixes_size for transform in self.transforms)

    @property
    def dtype(self) -> str:
        """Type of the pictures in a batch."""
        return str(getattr(self.steps[-1], "dtype", "uint8")) if self.steps else "uint8"

    def compiled(self, channels: int) -> CompiledSteps | None:
        """Compile the pixel steps.

        Parameters
        ----------
        channels : int
            Of the pictures: 3, or 1 for gray.

        Returns
        -------
        CompiledSteps or None
            None where nothing is done.

        Raises
        ------
        OptionError
            If a step does not suit the channels, or stands where it cannot.
        """
        return CompiledSteps(self.steps, channels) if self.steps else None

    def geometry(self, height: int, width: int, draws: Sequence[float], view: int = 0) -> Geometry:
        """Resolve a clip's draws for frames of a size; pure.

        Parameters
        ----------
        height, width : int
            Size of the frame in pixels.
        draws : sequence of float
            The clip's numbers in [0, 1), `Recipe.draws` of them.
        view : int
            Which of the recipe's `views`, from 0: the first transform's changes slowest.

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
        geometry, used, rest = Geometry(Axis.whole(height), Axis.whole(width)), 0, self.views
        for transform in self.transforms:
            if _has_views(transform):
                rest //= transform.views
                number, view = divmod(view, rest)
                geometry = transform.compose_view(geometry, number)
            else:
                geometry = transform.compose(geometry, draws[used : used + transform.draws])
                used += transform.draws
        return Geometry(geometry.y.snap(), geometry.x.snap())


def compile_recipe(
    transforms: Iterable[GeometryTransform | ViewTransform | PixelStep],
    *,
    channels_first: bool = False,
    time_steps: int = 1,
) -> Recipe:
    """Check a list of transforms and make it a recipe.

    Parameters
    ----------
    transforms : iterable
        Declarations of this module and pixel steps, each in order.
    channels_first : bool
        Whether pictures come as (C, H, W) instead of (H, W, C).
    time_steps : int
        Frames of a clip.

    Returns
    -------
    Recipe
        For every clip.

    Raises
    ------
    OptionError
        If something in the list is no transform, or Normalize stands there twice.
    """
    geometry: list[GeometryTransform | ViewTransform] = []
    steps: list[PixelStep] = []
    try:
        transforms = tuple(transforms)
    except TypeError:
        raise OptionError(f"transforms={transforms!r}: must be a list, as in [RandomCrop(224)]") from None
    for transform in transforms:
        if is_step(transform):
            steps.append(transform)  # type: ignore[arg-type] # as it was just found to be
        elif not isinstance(transform, type) and isinstance(transform, (GeometryTransform, ViewTransform)):
            geometry.append(transform)
        else:
            raise OptionError(
                f"{transform!r} in transforms is no transform; use instances, such as RandomCrop(224)"
            )
    if sum(isinstance(step, Normalize) for step in steps) > 1:
        raise OptionError("Normalize stands more than once in transforms; combine mean and std into one")
    channels_first = checked_bool(channels_first, "channels_first")
    return Recipe(tuple(geometry), tuple(steps), channels_first, time_steps)

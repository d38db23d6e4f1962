"""`Recipe`: what a list of transforms does to one clip.

A recipe is one geometry map and an ordered list of pixel steps::

    output pixel --(map)--> source position --(resample once)--> value --(steps)--> --(fill outside)-->

Each geometry transform (`geometry.crops`, `.flips`, `.warps`) composes its map onto the map before it, so a
pixel is resampled at most once, however many transforms are listed; a crop or flip alone resamples nothing.
A map that neither turns nor leaves the frame covers whole source pixels; all others are as exact as floating
point. One border rule sets the pixels outside the frame. Geometry applies to every stream, pixel steps
(`fastclips.pixels.steps.compiled`) to pictures only.

Transforms hold no random state. The plan gives each clip numbers in [0, 1); each transform takes `draws` of
them, geometry first, and `Recipe.geometry` turns them into pixels once a frame's size is known. A transform
that draws per frame takes as many for the first time step, for the second, and so on: each time step then
has a map of its own, the same for every stream.

Some transforms have several *views*, each with a map of its own. A clip then appears once for each view; its
ticket's `view` tells which.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from fastclips.errors import OptionError
from fastclips.options import checked_bool
from fastclips.pixels.geometry.affine import Axis, Border, Geometry
from fastclips.pixels.geometry.flips import RandomFlip
from fastclips.pixels.steps.base import METHODS, PixelStep
from fastclips.pixels.steps.compiled import CompiledSteps, count_draws
from fastclips.pixels.steps.normalize import Normalize
from fastclips.pixels.steps.stages import is_picture

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from typing_extensions import TypeIs

    from fastclips.pixels.steps.base import Trial

__all__ = [
    "GeometryTransform",
    "Recipe",
    "Swapping",
    "ViewTransform",
    "compile_recipe",
]


@runtime_checkable
class GeometryTransform(Protocol):
    """A declaration that composes onto the geometry map.

    A transform that may leave the frame has the attributes `fill` and `fill_value` (`geometry.warps`). A
    transform that can draw for each frame has `per`, one that may mirror left and right has `may_mirror`.
    """

    @property
    def draws(self) -> int:
        """Numbers in [0, 1) that it takes per clip, or per frame."""

    @property
    def fixes_size(self) -> bool:
        """Whether the output's size is the same for frames of any size."""

    def compose(self, geometry: Geometry, draws: Sequence[float]) -> Geometry:
        """Return the map of this transform after `geometry`."""


@runtime_checkable
class ViewTransform(Protocol):
    """A declaration with several views of each clip, each of which composes onto the geometry map."""

    @property
    def views(self) -> int:
        """Number of views."""

    @property
    def fixes_size(self) -> bool:
        """Whether the output's size is the same for frames of any size."""

    def compose_view(self, geometry: Geometry, number: int) -> Geometry:
        """Return the map of view `number`, from 0, after `geometry`; all of one size."""


def _has_views(transform: GeometryTransform | ViewTransform) -> TypeIs[ViewTransform]:
    return hasattr(transform, "compose_view")  # isinstance takes far longer


class _Listed(NamedTuple):
    """A transform, and the place of its draws."""

    transform: GeometryTransform | ViewTransform
    first: int  # of its draws for the first time step
    stride: int  # draws from one time step to the next: 0 where it draws once per clip


class Swapping(NamedTuple):
    """A flip that swaps labels or values of masks, and the place of its draws.

    Parameters
    ----------
    flip : RandomFlip
        The transform.
    first, stride : int
        Place of its draws for the first time step, and the distance from there to the next.
    """

    flip: RandomFlip
    first: int
    stride: int

    def column(self, at: int = 0) -> int:
        """Return the place of the draw that `RandomFlip.mirrors` takes at a time step."""
        return self.first + self.stride * at


@dataclass(frozen=True)
class Recipe:
    """What is done to each clip: one geometry map and the pixel steps; made by `compile_recipe`.

    Parameters
    ----------
    transforms : tuple of GeometryTransform or ViewTransform
        In the order in which they compose.
    steps : tuple of PixelStep
        In the order in which they act.
    channels_first : bool
        Whether pictures are (C, H, W).
    time_steps : int
        Frames of a clip.
    border : Border
        The pixels outside the frame.
    dct_scaling : bool
        Whether JPEGs may be decoded at a fraction of their size where the geometry shrinks them by 2 or more.
    """

    transforms: tuple[GeometryTransform | ViewTransform, ...]
    steps: tuple[PixelStep, ...]
    channels_first: bool
    time_steps: int
    border: Border
    dct_scaling: bool = False

    @cached_property
    def _laid_out(self) -> tuple[list[_Listed], int]:
        """The place of each transform's draws, and their number."""
        listed, used = [], 0
        for transform in self.transforms:
            draws = 0 if _has_views(transform) else transform.draws
            per_frame = getattr(transform, "per", "clip") == "frame"
            listed.append(_Listed(transform, used, draws if per_frame else 0))
            used += draws * (self.time_steps if per_frame else 1)
        return listed, used

    @property
    def geometry_draws(self) -> int:
        """Numbers in [0, 1) that the geometry takes per clip: the first of the clip's draws."""
        return self._laid_out[1]

    @cached_property
    def by_frame(self) -> bool:
        """Whether each time step has a map of its own."""
        return any(listed.stride for listed in self._laid_out[0])

    @cached_property
    def swapping(self) -> Swapping | None:
        """The flip that swaps labels or values of masks, if any."""
        for flip, first, stride in self._laid_out[0]:
            if isinstance(flip, RandomFlip) and (flip.label_pairs or flip.mask_pairs):
                return Swapping(flip, first, stride)
        return None

    @property
    def mask_pairs(self) -> tuple[tuple[int, int], ...]:
        """Pairs of mask values that a mirrored frame swaps."""
        return self.swapping.flip.mask_pairs if self.swapping else ()

    @property
    def draws(self) -> int:
        """Numbers in [0, 1) that a clip takes."""
        return self.geometry_draws + count_draws(self.steps, self.time_steps)

    @cached_property
    def views(self) -> int:
        """How many times a clip appears, each time in another view: the product over all transforms."""
        return math.prod(transform.views for transform in self.transforms if _has_views(transform))

    @property
    def fixes_size(self) -> bool:
        """Whether the output's size is the same for frames of any size."""
        return any(transform.fixes_size for transform in self.transforms)

    def compiled(self, channels: int, trials: Sequence[Trial] = ()) -> CompiledSteps | None:
        """Compile the pixel steps.

        Parameters
        ----------
        channels : int
            Of the pictures: 3, or 1 for gray.
        trials : sequence of Trial
            Results of trying out the user's functions among the pixel steps, in order.

        Returns
        -------
        CompiledSteps or None
            None if there are no pixel steps.

        Raises
        ------
        OptionError
            If a pixel step or the border's value does not suit the channels, or the order is invalid.
        """
        if channels == 1 and isinstance(self.border.value, tuple):
            raise OptionError(
                f"fill_value={self.border.value} is for red, green and blue, but gray pictures have one "
                "channel: give one number"
            )
        return CompiledSteps(self.steps, channels, trials) if self.steps else None

    @cached_property
    def has_functions(self) -> bool:
        """Whether the pixel steps include users' functions."""
        return any(step.kind == "function" for step in self.steps)

    def moves_channels(self, shape: tuple[int, ...]) -> bool:
        """Return whether a clip of a shape is turned from (T, H, W, C) to (T, C, H, W)."""
        return self.channels_first and is_picture(shape)

    def geometry(
        self, height: int, width: int, draws: Sequence[float], view: int = 0, step: int = 0
    ) -> Geometry:
        """Return the geometry map of a clip for frames of a size; pure.

        Parameters
        ----------
        height, width : int
            Size of the frame in pixels.
        draws : sequence of float
            The clip's numbers in [0, 1), `Recipe.draws` of them.
        view : int
            One of the recipe's `views`, from 0; the first transform's view changes slowest.
        step : int
            Time step of the clip, from 0; all have one map unless `by_frame`.

        Returns
        -------
        Geometry
            The composed map. If it neither turns nor leaves the frame, it has no warp, and its box is moved
            to whole pixels of the frame, so that only the box has to be decoded.

        Raises
        ------
        OptionError
            If a crop is larger than its input.
        """
        geometry, rest = Geometry(Axis.whole(height), Axis.whole(width)), self.views
        for transform, first, stride in self._laid_out[0]:
            if _has_views(transform):
                rest //= transform.views
                number, view = divmod(view, rest)
                geometry = transform.compose_view(geometry, number)
            else:
                start = first + stride * step
                geometry = transform.compose(geometry, draws[start : start + transform.draws])
        return geometry.settle(height, width, dct_scaling=self.dct_scaling)


def compile_recipe(
    transforms: Iterable[GeometryTransform | ViewTransform | PixelStep],
    *,
    channels_first: bool = False,
    time_steps: int = 1,
    dct_scaling: bool = False,
) -> Recipe:
    """Check a list of transforms and return its recipe.

    Parameters
    ----------
    transforms : iterable
        Geometry transforms and pixel steps, each kind in order.
    channels_first : bool
        Whether pictures are (C, H, W) instead of (H, W, C).
    time_steps : int
        Frames of a clip.
    dct_scaling : bool
        As for `Recipe`.

    Returns
    -------
    Recipe

    Raises
    ------
    OptionError
        If an item is no transform, Normalize is there twice, or two transforms fill the pixels outside the
        frame by different rules.
    """
    geometry: list[GeometryTransform | ViewTransform] = []
    steps: list[PixelStep] = []
    try:
        transforms = tuple(transforms)
    except TypeError:
        raise OptionError(f"transforms={transforms!r}: must be a list, as in [RandomCrop(224)]") from None
    for transform in transforms:
        if isinstance(transform, PixelStep):
            steps.append(transform)
        elif not isinstance(transform, type) and isinstance(transform, (GeometryTransform, ViewTransform)):
            geometry.append(transform)
        else:
            raise OptionError(f"{transform!r} in transforms is no transform; {_instead(transform)}")
    if sum(isinstance(step, Normalize) for step in steps) > 1:
        raise OptionError("Normalize stands more than once in transforms: combine mean and std into one")
    _check_mirrors(geometry)
    channels_first = checked_bool(channels_first, "channels_first")
    dct_scaling = checked_bool(dct_scaling, "dct_scaling")
    return Recipe(tuple(geometry), tuple(steps), channels_first, time_steps, _border(geometry), dct_scaling)


def _instead(given: object) -> str:
    method = next((name for name in METHODS.values() if hasattr(given, name)), None)
    if method is not None and not isinstance(given, type):
        return f"a class with the method {method}() must subclass fastclips.PixelStep"
    if callable(given) and not isinstance(given, type):
        return "put a function into Apply(...), or Apply(..., per='frame')"
    return "use instances, such as RandomCrop(224)"


def _check_mirrors(transforms: list[GeometryTransform | ViewTransform]) -> None:
    """Raise `OptionError` if another transform may mirror besides a flip that swaps labels or mask values."""
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


def _border(transforms: list[GeometryTransform | ViewTransform]) -> Border:
    """Return the border rule, on which all transforms that have one must agree."""
    filling: list[Any] = [transform for transform in transforms if hasattr(transform, "fill")]
    borders = [Border(transform.fill, transform.fill_value) for transform in filling]
    for transform, border in zip(filling, borders, strict=True):
        if border != borders[0]:
            raise OptionError(
                f"{filling[0]!r} and {transform!r} fill the pixels outside the frame by different rules, but "
                "share one map: give them the same fill and fill_value"
            )
    return borders[0] if borders else Border()

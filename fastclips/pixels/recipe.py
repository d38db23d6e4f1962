"""What is done to a clip: declarations that add up to one recipe.

A recipe is one geometry map and an ordered list of pixel steps::

    output pixel --(map)--> source position --(resample once)--> value --(steps)--> --(fill outside)-->

Each geometry transform (`geometry.crops`, `geometry.warps`) composes its own map onto the one
before it, so that however many are listed, a pixel is resampled at most once, and a pure crop or flip not at
all. A map that neither turns nor leaves the frame covers whole source pixels; every other is as exact as
floating point, and one border rule says what lies beyond the frame. Geometry holds for every stream, pixel
steps (`fastclips.pixels.steps.compiled`) for pictures alone.

Transforms hold no random state: the plan gives each clip numbers in [0, 1), each transform uses up
`draws` of them, those of the geometry first, and `Recipe.geometry` turns them into pixels once a frame's size
is known. One that draws per frame uses up as many for the first time step, for the second, and so on: each
step of the clip then has a map of its own, the same for every stream.

Some transforms have several *views*, each a map of its own: a clip then comes once for each, told apart by
its ticket's `view`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from fastclips.errors import OptionError
from fastclips.options import checked_bool
from fastclips.pixels.geometry.affine import Axis, Border, Geometry
from fastclips.pixels.geometry.crops import RandomFlip
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

    One that may leave the frame has the attributes `fill` and `fill_value` (`geometry.warps`); one
    that may draw for each frame says ``per="frame"``; one that may mirror left and right, `may_mirror`.
    """

    @property
    def draws(self) -> int:
        """Numbers in [0, 1) used up per clip, or per frame."""

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


def _has_views(transform: GeometryTransform | ViewTransform) -> TypeIs[ViewTransform]:
    return hasattr(transform, "compose_view")  # isinstance takes far longer


class _Place(NamedTuple):
    """A transform, and where its draws are."""

    transform: GeometryTransform | ViewTransform
    first: int  # of its draws for the first time step
    stride: int  # draws from one time step to the next: 0 where it draws once per clip


class Swapping(NamedTuple):
    """What labels or values of masks change places with left and right, and which draw says where.

    Parameters
    ----------
    flip : RandomFlip
        The transform.
    first, stride : int
        Of its draws: the place for the first time step, and from there to the next.
    """

    flip: RandomFlip
    first: int
    stride: int

    def column(self, step: int = 0) -> int:
        """Return the place, among a clip's draws, of the one that `RandomFlip.mirrors` is asked about."""
        return self.first + self.stride * step


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
    border : Border
        What lies beyond the frame.
    dct_scaling : bool
        Whether JPEGs may be decoded at a part of their size where the geometry shrinks them by 2 or more.
    """

    transforms: tuple[GeometryTransform | ViewTransform, ...]
    steps: tuple[PixelStep, ...]
    channels_first: bool
    time_steps: int
    border: Border
    dct_scaling: bool = False

    @cached_property
    def _laid_out(self) -> tuple[list[_Place], int]:
        """Where each transform's draws are, and how many there are in all."""
        places, used = [], 0
        for transform in self.transforms:
            draws = 0 if _has_views(transform) else transform.draws
            per_frame = getattr(transform, "per", "clip") == "frame"
            places.append(_Place(transform, used, draws if per_frame else 0))
            used += draws * (self.time_steps if per_frame else 1)
        return places, used

    @property
    def geometry_draws(self) -> int:
        """Numbers in [0, 1) used up per clip by its geometry: the first ones."""
        return self._laid_out[1]

    @cached_property
    def by_frame(self) -> bool:
        """Whether each time step has a map of its own."""
        return any(one.stride for one in self._laid_out[0])

    @cached_property
    def swapping(self) -> Swapping | None:
        """What changes places with left and right, if anything."""
        for one in self._laid_out[0]:
            flip = one.transform
            if isinstance(flip, RandomFlip) and (flip.label_pairs or flip.mask_pairs):
                return Swapping(flip, one.first, one.stride)
        return None

    @property
    def mask_pairs(self) -> tuple[tuple[int, int], ...]:
        """Values of masks that change places with left and right."""
        return self.swapping.flip.mask_pairs if self.swapping else ()

    @property
    def draws(self) -> int:
        """Numbers in [0, 1) used up per clip."""
        return self.geometry_draws + count_draws(self.steps, self.time_steps)

    @cached_property
    def views(self) -> int:
        """How many times a clip comes, each time in another view: the product over all transforms."""
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
            What the user's functions among the steps returned when they were tried out, in order.

        Returns
        -------
        CompiledSteps or None
            None where nothing is done.

        Raises
        ------
        OptionError
            If a step or the border's value does not suit the channels, or a step stands where it cannot.
        """
        if channels == 1 and isinstance(self.border.value, tuple):
            raise OptionError(
                f"fill_value={self.border.value} is for red, green and blue, but gray pictures have one "
                "channel: give one number"
            )
        return CompiledSteps(self.steps, channels, trials) if self.steps else None

    @cached_property
    def has_functions(self) -> bool:
        """Whether functions of the user's are among the steps."""
        return any(step.kind == "function" for step in self.steps)

    def moves_channels(self, shape: tuple[int, ...]) -> bool:
        """Say whether a clip, (T, H, W, C) if it is of pictures, comes as (T, C, H, W)."""
        return self.channels_first and is_picture(shape)

    def geometry(
        self, height: int, width: int, draws: Sequence[float], view: int = 0, step: int = 0
    ) -> Geometry:
        """Resolve a clip's draws for frames of a size; pure.

        Parameters
        ----------
        height, width : int
            Size of the frame in pixels.
        draws : sequence of float
            The clip's numbers in [0, 1), `Recipe.draws` of them.
        view : int
            Which of the recipe's `views`, from 0: the first transform's changes slowest.
        step : int
            Which time step of the clip, from 0; all have one map unless `by_frame`.

        Returns
        -------
        Geometry
            The composed map. If it neither turns nor leaves the frame, it has no warp and its box is moved
            to whole pixels of the frame: a view of what was decoded, and nothing beside it need be.

        Raises
        ------
        OptionError
            If a crop is larger than what it crops.
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
    """Check a list of transforms and make it a recipe.

    Parameters
    ----------
    transforms : iterable
        Geometry and pixel steps, each in order.
    channels_first : bool
        Whether pictures come as (C, H, W) instead of (H, W, C).
    time_steps : int
        Frames of a clip.
    dct_scaling : bool
        As for `Recipe`.

    Returns
    -------
    Recipe
        For every clip.

    Raises
    ------
    OptionError
        If something in the list is no transform, Normalize stands there twice, or two transforms fill what
        lies beyond the frame by different rules.
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
        raise OptionError("Normalize stands more than once in transforms; combine mean and std into one")
    _check_mirrors(geometry)
    channels_first = checked_bool(channels_first, "channels_first")
    dct_scaling = checked_bool(dct_scaling, "dct_scaling")
    return Recipe(tuple(geometry), tuple(steps), channels_first, time_steps, _border(geometry), dct_scaling)


def _instead(given: object) -> str:
    method = next((name for name in METHODS.values() if hasattr(given, name)), None)
    if method is not None and not isinstance(given, type):
        return f"a class with the method {method}() must subclass fastclips.PixelStep"
    if callable(given) and not isinstance(given, type):
        return "a function of yours goes into Apply(...), or Apply(..., per='frame')"
    return "use instances, such as RandomCrop(224)"


def _check_mirrors(transforms: list[GeometryTransform | ViewTransform]) -> None:
    """Refuse two transforms that mirror, if what they mirror has a side: the draw of one must tell."""
    mirroring = [one for one in transforms if getattr(one, "may_mirror", False)]
    swapping = [
        one for one in transforms if isinstance(one, RandomFlip) and (one.label_pairs or one.mask_pairs)
    ]
    others = [one for one in mirroring if swapping and one is not swapping[0]]
    if others:
        raise OptionError(
            f"{swapping[0]!r} swaps labels or masks' values where left and right change places, but "
            f"{others[0]!r} makes them change places as well: leave one of them out"
        )


def _border(transforms: list[GeometryTransform | ViewTransform]) -> Border:
    """Return the border rule that all transforms with one agree on."""
    filling: list[Any] = [transform for transform in transforms if hasattr(transform, "fill")]
    borders = [Border(transform.fill, transform.fill_value) for transform in filling]
    for transform, border in zip(filling, borders, strict=True):
        if border != borders[0]:
            raise OptionError(
                f"{filling[0]!r} and {transform!r} fill what lies beyond the frame by different rules, but "
                "their map is one: give them the same fill and fill_value"
            )
    return borders[0] if borders else Border()

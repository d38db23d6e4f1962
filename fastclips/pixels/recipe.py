"""`Recipe`: what a list of transforms does to one clip.

A recipe is one geometry map and an ordered list of pixel steps::

    output pixel --(map)--> source position --(resample once)--> value --(steps)--> --(fill outside)-->

Each geometry transform (`geometry.crops`, `.flips`, `.warps`) composes its map onto the map before it, so a
pixel is resampled at most once, however many transforms are listed; a crop or flip alone resamples nothing.
A map that neither turns nor leaves the frame covers whole source pixels; all others are as exact as floating
point. One border rule sets the pixels outside the frame. Geometry applies to every stream, pixel steps
(`fastclips.pixels.steps.compiled`) to pictures only. `On` restricts a transform to some streams: `Recipe.of`
returns the recipe of one stream, whose draws are some of the clip's.

Transforms hold no random state. The plan gives each clip numbers in [0, 1); each transform takes `draws` of
them, geometry first and those of `On` last, and `Recipe.geometry` turns them into pixels once a frame's size
is known. A transform that draws per frame takes as many for the first time step, for the second, and so on:
each time step then has a map of its own, the same for every stream. A transform that draws per video gets the
same numbers for all clips of a video in an epoch (`Recipe.by_video`).

Some transforms have several *views*, each with a map of its own. A clip then appears once for each view; its
ticket's `view` tells which.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, compress
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from fastclips.errors import OptionError
from fastclips.options import checked_bool
from fastclips.pixels.geometry.affine import Axis, Border, Geometry, agreed_border
from fastclips.pixels.geometry.flips import RandomFlip, check_mirrors
from fastclips.pixels.geometry.plain_crops import PlainCrops
from fastclips.pixels.on import On, inner
from fastclips.pixels.policies import PolicyGeometry, PolicyPixels, split_policies
from fastclips.pixels.steps.base import METHODS, PixelStep
from fastclips.pixels.steps.compiled import CompiledSteps, count_draws
from fastclips.pixels.steps.normalize import Normalize
from fastclips.pixels.steps.stages import is_picture

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from typing_extensions import TypeIs

    from fastclips.pixels.steps.base import Trial
    from fastclips.spec import StreamSpec

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

    A transform that may leave the frame has the attributes `fill` and `fill_value` (`affine.check_border`). A
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


def _is_per_frame(transform: object) -> bool:
    return getattr(transform, "per", "clip") == "frame"


class _Listed(NamedTuple):
    """A transform, and the place of its draws."""

    transform: Any  # a GeometryTransform or ViewTransform, or an On that holds one
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

    With an `On` among its items, it counts draws, and `of` returns the recipe of each stream. Without, it is
    itself that of pictures and masks.

    Parameters
    ----------
    transforms : tuple of GeometryTransform, ViewTransform or On
        In the order in which they compose.
    steps : tuple of PixelStep or On
        In the order in which they act.
    channels_first : bool
        Whether pictures are (C, H, W).
    time_steps : int
        Frames of a clip.
    border : Border
        The pixels outside the frame.
    dct_scaling : bool
        Whether JPEGs may be decoded at a fraction of their size where the geometry shrinks them by 2 or more.
    own : tuple of bool
        Of the recipe of one stream: whether each transform is of `On`.
    columns : tuple of int, optional
        Of the recipe of one stream: which of the clip's draws it takes; None if it takes all.
    snaps : bool
        Whether the box of a map within the frame moves to whole pixels of the frame.
    """

    transforms: tuple[Any, ...]
    steps: tuple[Any, ...]
    channels_first: bool
    time_steps: int
    border: Border
    dct_scaling: bool = False
    own: tuple[bool, ...] = ()
    columns: tuple[int, ...] | None = None
    snaps: bool = True

    @cached_property
    def is_divided(self) -> bool:
        """Whether `On` restricts transforms to some streams."""
        return any(isinstance(item, On) for item in (*self.transforms, *self.steps))

    @cached_property
    def _has_policies(self) -> bool:
        """Whether pixel steps share draws with geometry."""
        return any(isinstance(step, PolicyPixels) for step in self.steps)

    @cached_property
    def divides_geometry(self) -> bool:
        """Whether `On` restricts geometry to some streams."""
        return any(isinstance(item, On) for item in self.transforms)

    def of(self, stream: StreamSpec) -> Recipe:
        """Return the recipe of one stream, which has no `On`.

        Its draws are those of the clip that `own_draws` picks.

        Raises
        ------
        OptionError
            If its transforms fill the pixels outside the frame by different rules.
        """
        if not (self.is_divided or self._has_policies or stream.is_field):
            return self
        own: list[bool] = []
        transforms: list[Any] = []
        columns: list[int] = []
        ranges, steps = iter(self._ranges), []
        for item, draws in zip(self.transforms, ranges, strict=False):
            if not isinstance(item, On) or item.names(stream.name):
                own.append(isinstance(item, On))
                transforms.append(inner(item))
                columns += draws
        for step, draws in zip(self.steps, ranges, strict=True):
            if step.names(stream.name) if isinstance(step, On) else stream.kind == "image":
                steps.append(inner(step))
                columns += draws
        _check_once(steps)
        border = agreed_border(transforms)
        if stream.is_field:
            border = border._replace(value=stream.ignored)
        return Recipe(
            tuple(transforms),
            tuple(steps),
            self.channels_first,
            self.time_steps,
            border,
            self.dct_scaling,
            tuple(own),
            tuple(columns),
            snaps=stream.kind == "image" or not any(own),
        )

    def own_draws(self, draws: Sequence[float]) -> Sequence[float]:
        """Return the draws of this recipe among those of the clip."""
        return draws if self.columns is None else [draws[column] for column in self.columns]

    @cached_property
    def random_own(self) -> tuple[int, ...]:
        """Of the recipe of one stream: the clip's draws that geometry of `On` takes."""
        columns = self.columns or ()
        return tuple(columns[draw] for draw in chain(*compress(self._ranges, self.own)))

    def joints(self, height: int, width: int) -> tuple[tuple[Any, tuple[int, int]], ...] | None:
        """Return each transform that acts on all streams, and the size before it of frames of a size.

        Returns
        -------
        tuple of (transform, (int, int)), or None
            If no geometry acts on all streams: the size alone, with None for the transform; but None if `On`
            gives the stream geometry of its own, for then any size will do. Ends with a crop that is too
            large.
        """
        geometry = Geometry(Axis.whole(height), Axis.whole(width))
        found: list[tuple[Any, tuple[int, int]]] = []
        own = self.own or (False,) * len(self.transforms)
        for of_stream, transform in zip(own, self.transforms, strict=True):
            if not of_stream:
                found.append((transform, (geometry.y.size, geometry.x.size)))
            try:
                if _has_views(transform):
                    geometry = transform.compose_view(geometry, 0)
                else:
                    geometry = transform.compose(geometry, [0.0] * transform.draws)
            except OptionError:
                break
        if found:
            return tuple(found)
        return None if any(own) else ((None, (height, width)),)

    def _count(self, item: Any) -> int:  # noqa: ANN401 - any transform
        """Return how many numbers in [0, 1) a transform takes per clip."""
        transform = inner(item)
        if isinstance(transform, PixelStep):
            return count_draws((transform,), self.time_steps)
        if _has_views(transform):
            return 0
        return int(transform.draws) * (self.time_steps if _is_per_frame(transform) else 1)

    @cached_property
    def _ranges(self) -> list[range]:
        """The draws of each transform and each pixel step."""
        items = [*self.transforms, *self.steps]
        ranges, used = [range(0)] * len(items), 0
        for restricted in (False, True):  # `On` comes last, so that it changes no draw of other transforms
            policies: list[range] = []
            for number, item in enumerate(items):
                if isinstance(item, On) is not restricted:
                    continue
                if policies and self.columns is None and isinstance(inner(item), PolicyPixels):
                    ranges[number] = policies.pop(0)  # of its other half; `columns` repeats them
                    continue
                ranges[number] = range(used, used + self._count(item))
                used = ranges[number].stop
                if isinstance(inner(item), PolicyGeometry):
                    policies.append(ranges[number])
        return ranges

    @cached_property
    def by_video(self) -> tuple[int, ...]:
        """Which of the clip's draws are those of its video."""
        items = zip((*self.transforms, *self.steps), self._ranges, strict=True)
        columns = chain(*(draws for item, draws in items if getattr(inner(item), "per", "") == "video"))
        return tuple(dict.fromkeys(columns))

    @cached_property
    def _laid_out(self) -> list[_Listed]:
        """The place of each geometry transform's draws."""
        listed = []
        for item, draws in zip(self.transforms, self._ranges, strict=False):
            stride = len(draws) // self.time_steps if _is_per_frame(inner(item)) else 0
            listed.append(_Listed(item, draws.start, stride))
        return listed

    @cached_property
    def geometry_draws(self) -> int:
        """Numbers in [0, 1) that the geometry takes per clip, without `On`: the first of the clip's draws."""
        return sum(self._count(item) for item in self.transforms if not isinstance(item, On))

    @cached_property
    def by_frame(self) -> bool:
        """Whether each time step has a map of its own."""
        return any(listed.stride for listed in self._laid_out)

    @cached_property
    def plain_crops(self) -> PlainCrops | None:
        """The geometry in whole numbers, if all of it crops and mirrors, once per clip."""
        return PlainCrops.of(self._laid_out)

    @cached_property
    def swapping(self) -> Swapping | None:
        """The flip that swaps labels or values of masks, if any."""
        for flip, first, stride in self._laid_out:
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
        return max((draws.stop for draws in self._ranges), default=0)

    @cached_property
    def views(self) -> int:
        """How many times a clip appears, each time in another view: the product over all transforms."""
        return math.prod(transform.views for transform in self.transforms if _has_views(transform))

    @property
    def fixes_size(self) -> bool:
        """Whether the output's size is the same for frames of any size."""
        return any(transform.fixes_size for transform in self.transforms)

    def compiled(
        self, channels: int, trials: Sequence[Trial] = (), dtype: str = "uint8"
    ) -> CompiledSteps | None:
        """Compile the pixel steps.

        Parameters
        ----------
        channels : int
            Of the pictures: 3, or 1 for gray; of depth 1, of flow 2.
        trials : sequence of Trial
            Results of trying out the user's functions among the pixel steps, in order.
        dtype : str
            Of the decoded frames.

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
                "channel: give one number (as pad= of Resize)"
            )
        return CompiledSteps(self.steps, channels, trials, dtype) if self.steps else None

    @cached_property
    def has_functions(self) -> bool:
        """Whether the pixel steps include users' functions."""
        return any(step.kind == "function" for step in self.steps)

    def moves_channels(self, shape: tuple[int, ...], given: tuple[int, ...]) -> bool:
        """Return whether a clip of a shape is turned from (T, H, W, C) to (T, C, H, W).

        `given` is its shape before the pixel steps.
        """
        return self.channels_first and (is_picture(shape) or shape == given)

    def geometry(
        self, height: int, width: int, draws: Sequence[float], view: int = 0, step: int = 0
    ) -> Geometry:
        """Return the geometry map of a clip for frames of a size; pure.

        Parameters
        ----------
        height, width : int
            Size of the frame in pixels.
        draws : sequence of float
            The numbers in [0, 1) of this recipe, `Recipe.draws` of them.
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
        for transform, first, stride in self._laid_out:
            if _has_views(transform):
                rest //= transform.views
                number, view = divmod(view, rest)
                geometry = transform.compose_view(geometry, number)
            else:
                start = first + stride * step
                geometry = transform.compose(geometry, draws[start : start + transform.draws])
        return geometry.settle(height, width, dct_scaling=self.dct_scaling, snaps=self.snaps)


def compile_recipe(
    transforms: Iterable[GeometryTransform | ViewTransform | PixelStep | On],
    *,
    channels_first: bool = False,
    time_steps: int = 1,
    dct_scaling: bool = False,
) -> Recipe:
    """Check a list of transforms and return its recipe.

    Parameters
    ----------
    transforms : iterable
        Geometry transforms and pixel steps, each kind in order, also in `On`.
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
    geometry: list[Any] = []
    steps: list[Any] = []
    try:
        transforms = tuple(transforms)
    except TypeError:
        raise OptionError(f"transforms={transforms!r}: must be a list, as in [RandomCrop(224)]") from None
    for item in split_policies(transforms):
        transform = inner(item)
        if isinstance(transform, PixelStep):
            steps.append(item)
        elif not isinstance(transform, type) and isinstance(transform, (GeometryTransform, ViewTransform)):
            geometry.append(item)
        else:
            raise OptionError(f"{transform!r} in transforms is no transform; {_instead(transform)}")
    _check_once(steps)
    check_mirrors([*map(inner, geometry)])
    channels_first = checked_bool(channels_first, "channels_first")
    dct_scaling = checked_bool(dct_scaling, "dct_scaling")
    border = agreed_border([item for item in geometry if not isinstance(item, On)])
    return Recipe(tuple(geometry), tuple(steps), channels_first, time_steps, border, dct_scaling)


def _check_once(steps: Iterable[object]) -> None:
    if sum(isinstance(step, Normalize) for step in steps) > 1:
        raise OptionError("Normalize stands more than once in transforms: combine mean and std into one")


def _instead(given: object) -> str:
    method = next((name for name in METHODS.values() if hasattr(given, name)), None)
    if method is not None and not isinstance(given, type):
        return f"a class with the method {method}() must subclass fastclips.PixelStep"
    if callable(given) and not isinstance(given, type):
        return "put a function into Apply(...), or Apply(..., per='frame')"
    return "use instances, such as RandomCrop(224)"

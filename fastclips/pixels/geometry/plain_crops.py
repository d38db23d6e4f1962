"""Crops and mirrors in whole numbers: the usual map of training, in a tenth of the time of `Geometry`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Self

from fastclips.pixels.geometry.crops import CenterCrop, RandomCrop
from fastclips.pixels.geometry.flips import RandomFlip

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["PlainCrop", "PlainCrops"]


class PlainCrop(NamedTuple):
    """What a clip shows of its frames.

    Parameters
    ----------
    box : (int, int, int, int)
        Top, left, bottom and right, in pixels of the frame.
    mirrored, flipped : bool
        Whether left and right are mirrored, and top and bottom.
    """

    box: tuple[int, int, int, int]
    mirrored: bool
    flipped: bool


class PlainCrops:
    """Transforms that only crop and mirror, once per clip.

    Parameters
    ----------
    transforms : iterable of (RandomCrop, CenterCrop or RandomFlip, int)
        In order, each with the place of its first draw.
    """

    def __init__(self, transforms: Iterable[tuple[RandomCrop | CenterCrop | RandomFlip, int]]) -> None:
        self._transforms = tuple(transforms)

    @classmethod
    def of(cls, transforms: Iterable[tuple[object, int, int]]) -> Self | None:
        """Take transforms, each with the place of its first draw and the distance to the next time step's.

        Returns
        -------
        PlainCrops or None
            None if a transform is of another class, or draws for each frame.
        """
        plain = []
        for transform, first, stride in transforms:
            if not isinstance(transform, (RandomCrop, CenterCrop, RandomFlip)) or stride:
                return None
            plain.append((transform, first))
        return cls(plain)

    def find(self, height: int, width: int, draws: Sequence[float]) -> PlainCrop | None:
        """Return what a clip shows of frames of a size: the same as `Recipe.geometry`.

        Parameters
        ----------
        height, width : int
            Size of the frames in pixels.
        draws : sequence of float
            The clip's numbers in [0, 1).

        Returns
        -------
        PlainCrop or None
            None if a crop is larger than its input.
        """
        top = left = 0
        mirrored = flipped = False
        for transform, first in self._transforms:
            if isinstance(transform, RandomFlip):
                sideways, upside = transform.flips(draws[first:])
                mirrored, flipped = mirrored is not sideways, flipped is not upside
                continue
            inner_height, inner_width = transform.size  # type: ignore[misc] # a pair by now
            below, beside = height - inner_height, width - inner_width
            if below < 0 or beside < 0:
                return None
            down, across = transform.corner(below, beside, draws[first:])
            top += below - down if flipped else down
            left += beside - across if mirrored else across
            height, width = inner_height, inner_width
        return PlainCrop((top, left, top + height, left + width), mirrored, flipped)

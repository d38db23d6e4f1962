"""Frames into their places: through the geometry map, and a table where there is one, into the batch.

The cheapest way that the settled map allows::

    crop              kernel                                             one pass over the pixels
    box of the frame  cv2.resize, then the kernel if something is left   mirroring, table, channels first
    warp              cv2.warpAffine or indices, then the kernel likewise

Top and bottom change places by reversing the order of rows, which the kernels do not know of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastclips.pixels.geometry import kernels
from fastclips.pixels.geometry.resample import find_outside, find_sources, pick, resample, warp

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from fastclips.pixels.geometry.affine import Geometry

    _Frame = NDArray[np.uint8]

__all__ = ["Hole", "find_hole", "make_placer"]


class Hole(NamedTuple):
    """What of a frame of the batch lies outside of the frame that was decoded, and what goes there."""

    places: NDArray[np.intp]  # flat
    values: NDArray[Any]

    def fill(self, frame: NDArray[Any]) -> None:
        """Overwrite what lies outside in a frame of the batch, C-contiguous."""
        frame.reshape(-1)[self.places] = self.values


def find_hole(
    geometry: Geometry,
    size: tuple[int, int],
    like: NDArray[Any],
    value: int | tuple[int, ...],
    *,
    channels_first: bool,
) -> Hole | None:
    """Find what of the batch's frames lies outside of frames of a size.

    Parameters
    ----------
    geometry : Geometry
        The map, settled.
    size : (int, int)
        Height and width of the frames.
    like : ndarray
        A frame of the batch: (h, w), (h, w, C) or, with channels first, (C, h, w).
    value : int or tuple of int
        What goes there: one for all channels, or one for each.
    channels_first : bool
        Whether `like` has its channels first.

    Returns
    -------
    Hole or None
        None where nothing lies outside.
    """
    if geometry.warp is None:
        return None
    pixels = np.flatnonzero(find_outside(geometry, *size))
    if not pixels.size:
        return None
    plane = geometry.y.size * geometry.x.size
    channels = like.size // plane
    values = np.broadcast_to(np.array(value, like.dtype), channels)
    if channels_first:
        places = pixels + plane * np.arange(channels)[:, None]
        return Hole(places.ravel(), values.repeat(pixels.size))
    places = channels * pixels[:, None] + np.arange(channels)
    return Hole(places.ravel(), np.tile(values, pixels.size))


def make_placer(
    geometry: Geometry,
    shape: tuple[int, ...],
    fill: str,
    table: NDArray[Any] | None = None,
    *,
    nearest: bool = False,
    channels_first: bool = False,
    bypass_cache: bool = False,
) -> Callable[[_Frame, NDArray[Any]], None]:
    """Return what puts a frame into its place.

    Parameters
    ----------
    geometry : Geometry
        The map, settled.
    shape : tuple of int
        Of the frames: (H, W, C), or (H, W) for masks.
    fill : {"nearest", "constant", "reflect", "wrap"}
        What lies beyond them; ``"constant"`` is as ``"nearest"`` here.
    table : ndarray, optional
        (C, 256): what becomes of each byte.
    nearest : bool
        Whether to take the nearest pixel instead of interpolating.
    channels_first : bool
        Whether the output is (C, h, w).
    bypass_cache : bool
        As for `fastclips.pixels.geometry.kernels.crop`.

    Returns
    -------
    callable
        Takes a frame of uint8 of that shape, and the output that it fills: C-contiguous, of the map's size
        and of the table's dtype or uint8.
    """
    flip, upside_down = geometry.flip, geometry.flip_vertical

    def cut(pixels: _Frame, top: int, left: int, output: NDArray[Any]) -> None:
        if upside_down:
            pixels, top = np.ascontiguousarray(pixels[top : top + geometry.y.size][::-1]), 0
        if table is None:
            kernels.crop(
                pixels, top, left, flip, output, channels_first=channels_first, bypass_cache=bypass_cache
            )
        else:
            kernels.crop_table(
                pixels,
                top,
                left,
                flip,
                table,
                output,
                channels_first=channels_first,
                bypass_cache=bypass_cache,
            )

    if geometry.is_crop:
        top, left = int(geometry.y.box[0]), int(geometry.x.box[0])
        return lambda pixels, output: cut(pixels, top, left, output)
    move = _make_mover(geometry, shape, fill, nearest=nearest)
    if not flip and not upside_down and table is None and not channels_first:
        return move
    moved = np.empty((geometry.y.size, geometry.x.size, *shape[2:]), np.uint8)

    def move_and_cut(pixels: _Frame, output: NDArray[Any]) -> None:
        move(pixels, moved)
        cut(moved, 0, 0, output)

    return move_and_cut


def _make_mover(
    geometry: Geometry, shape: tuple[int, ...], fill: str, *, nearest: bool
) -> Callable[[_Frame, _Frame], None]:
    """Return what resamples a frame, leaving out what a map without a warp mirrors."""
    if nearest and geometry.warp is not None:
        sources = find_sources(geometry, shape[0], shape[1], fill)
        return lambda pixels, output: pick(pixels, sources, output)

    def move(pixels: _Frame, output: _Frame) -> None:
        if shape[2:] == (1,):  # OpenCV drops an axis of one channel
            pixels, output = pixels[:, :, 0], output[:, :, 0]
        if geometry.warp is None:
            resample(pixels, geometry, nearest=nearest, out=output)
        else:
            warp(pixels, geometry, fill, output)

    return move

"""Place decoded frames in the batch: through the geometry map, and a lookup table if there is one.

The settled map decides how, cheapest first::

    map               what runs
    crop              kernel: one pass over the pixels
    box of the frame  a kernel; then the kernel of crops for a table or channels first
    warp              a kernel, or indices for masks; then the kernel of crops likewise

The kernel of crops mirrors left and right only. Top and bottom are mirrored by reversing the rows beforehand.
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
    """The part of a frame of the batch that lies outside the decoded frame, and its values."""

    indices: NDArray[np.intp]  # into the flat frame
    values: NDArray[Any]

    def fill(self, frame: NDArray[Any]) -> None:
        """Overwrite that part of a frame of the batch, C-contiguous."""
        frame.reshape(-1)[self.indices] = self.values


def find_hole(
    geometry: Geometry,
    size: tuple[int, int],
    like: NDArray[Any],
    value: float | tuple[int, ...],
    *,
    channels_first: bool,
) -> Hole | None:
    """Find the part of the batch's frames that lies outside decoded frames of a size.

    Parameters
    ----------
    geometry : Geometry
        The map, settled.
    size : (int, int)
        Height and width of the decoded frames.
    like : ndarray
        A frame of the batch: (h, w), (h, w, C) or, with channels first, (C, h, w).
    value : float or tuple of int
        Value of that part: one for all channels, or one for each.
    channels_first : bool
        Whether `like` has its channels first.

    Returns
    -------
    Hole or None
        None if nothing lies outside.
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
        indices = pixels + plane * np.arange(channels)[:, None]
        return Hole(indices.ravel(), values.repeat(pixels.size))
    indices = channels * pixels[:, None] + np.arange(channels)
    return Hole(indices.ravel(), np.tile(values, pixels.size))


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
    """Return a function that places frames of one shape in the batch.

    Parameters
    ----------
    geometry : Geometry
        The map, settled.
    shape : tuple of int
        Shape of the frames: (H, W, C), or (H, W) for masks.
    fill : {"nearest", "constant", "reflect", "wrap"}
        Pixels outside the frame; ``"constant"`` does the same as ``"nearest"`` here.
    table : ndarray, optional
        Lookup table, (C, 256): the output for each byte of each channel.
    nearest : bool
        Whether to take the nearest pixel instead of interpolating.
    channels_first : bool
        Whether the output is (C, h, w).
    bypass_cache : bool
        As for `fastclips.pixels.geometry.kernels.crop`.

    Returns
    -------
    callable
        ``place(frame, output)``: the frame is uint8 of that shape, the output C-contiguous, of the map's size
        and of the table's dtype or uint8.
    """

    def copy_box(
        pixels: _Frame,
        top: int,
        left: int,
        output: NDArray[Any],
        *,
        flip: bool = False,
        upside_down: bool = False,
    ) -> None:
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
        flips = {"flip": geometry.flip, "upside_down": geometry.flip_vertical}
        return lambda pixels, output: copy_box(pixels, top, left, output, **flips)
    apply_map = _make_resampler(geometry, shape, fill, nearest=nearest)
    if table is None and not channels_first:
        return apply_map
    resampled = np.empty((geometry.y.size, geometry.x.size, *shape[2:]), np.uint8)

    def resample_and_copy(pixels: _Frame, output: NDArray[Any]) -> None:
        apply_map(pixels, resampled)
        copy_box(resampled, 0, 0, output)

    return resample_and_copy


def _make_resampler(
    geometry: Geometry, shape: tuple[int, ...], fill: str, *, nearest: bool
) -> Callable[[_Frame, _Frame], None]:
    """Return a function that resamples and mirrors frames."""
    if geometry.warp is None:
        return lambda pixels, output: resample(pixels, geometry, nearest=nearest, out=output)
    if nearest:
        sources = find_sources(geometry, shape[0], shape[1], fill)
        return lambda pixels, output: pick(pixels, sources, output)
    return lambda pixels, output: warp(pixels, geometry, fill, output)

"""Frames of a clip that share a map: decoded, or copied from frame slots, in one native call.

Each frame has a *mark*: the `Rung` on which it was decoded, HELD or FILLED. Other marks leave the frame to
`ClipPlacer.place_frame`: it has another size, is unusual or damaged, or is in no slot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips._native import FILLED as FILLED_MARK
from fastclips._native import HELD as HELD_MARK
from fastclips._native import Crop, Files, Method, write_crops
from fastclips.engine.rendering import FILLED, HELD
from fastclips.pixels.decoding.decoder import Rung
from fastclips.pixels.geometry.regions import localize
from fastclips.pixels.geometry.resample import fixed_map

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from fastclips._native import FrameArea
    from fastclips.engine.rendering import Meter
    from fastclips.pixels.decoding.decoder import Decoder
    from fastclips.pixels.geometry.affine import Geometry
    from fastclips.pixels.geometry.regions import Source

__all__ = [
    "LAST_RUNG",
    "bits_of",
    "copy_held",
    "count_marks",
    "decode_or_share",
    "make_crop",
    "placed",
    "rows_of",
    "write_arrays",
]

LAST_RUNG = int(Rung.WHOLE)  # the last rung that `Decoder.decode_crops` uses
_PLACED = {*range(LAST_RUNG + 1), HELD_MARK, FILLED_MARK}


def make_crop(
    geometry: Geometry,
    size: tuple[int, int],
    source: Source,
    scale: int,
    fill: str,
    *,
    nearest: bool,
    table: NDArray[Any] | None,
    **options: bool,
) -> Crop:
    """Return what native code is told of a map.

    Parameters
    ----------
    geometry : Geometry
        The map, settled; without a warp if `nearest`.
    size : (int, int)
        Height and width of the frames.
    source : Source
        The part of the frames that the map reads.
    scale : int
        Frames are decoded at 1 / `scale` of their size.
    fill, nearest, table
        As for `fastclips.pixels.geometry.placing.make_placer`.
    **options
        `channels_first` and `bypass_cache`, as there.

    Returns
    -------
    Crop
    """
    warp = None
    if geometry.warp is not None:
        warp = fixed_map(localize(geometry, source.top // scale, source.left // scale, scale), fill)
    return Crop(
        size,
        source,
        scale,
        warp=warp,
        mirrored=geometry.flip,
        flipped=geometry.flip_vertical,
        method=Method.NEAREST if nearest else Method.LINEAR,
        table=None if table is None else bits_of(table),
        **options,
    )


def decode_or_share(
    decoder: Decoder,
    crop: Crop,
    video: int,
    firsts: Mapping[int, int],
    files: Files | Sequence[Any],
    output: NDArray[Any],
    area: FrameArea | None,
    slots: Mapping[int, int],
) -> dict[int, int]:
    """Decode frames into rows of an output, those with a frame slot by way of it.

    Parameters
    ----------
    decoder : Decoder
        The stream's decoder.
    crop : Crop
        From `make_crop`.
    video : int
        The storage's number.
    firsts : mapping of int to int
        The row of each frame.
    files : Files or sequence of bytes-like
        The files of these frames.
    output : ndarray, (rows, ...)
        Receives the frames.
    area : FrameArea, optional
        The stream's part of the frame slots.
    slots : mapping of int to int
        The slots of frames that have one.

    Returns
    -------
    dict of int to int
        The mark of each frame.
    """
    rows = rows_of(output)
    kept = {frame: slots[frame] for frame in firsts if frame in slots} if area is not None else {}
    if not kept or area is None:
        return dict(zip(firsts, decoder.decode_crops(files, [*firsts.values()], crop, rows), strict=True))
    data = dict(zip(firsts, files, strict=True))
    found = decoder.share_crops(
        area,
        [data[frame] for frame in kept],
        video,
        [*kept],
        [*kept.values()],
        [firsts[frame] for frame in kept],
        crop,
        rows,
    )
    marks = dict(zip(kept, found, strict=True))
    own = [frame for frame in firsts if frame not in kept]
    found = decoder.decode_crops([data[frame] for frame in own], [firsts[frame] for frame in own], crop, rows)
    marks.update(zip(own, found, strict=True))
    return marks


def write_arrays(
    crop: Crop, firsts: Mapping[int, int], arrays: Sequence[NDArray[Any]], output: NDArray[Any]
) -> set[int]:
    """Write frames that are pixels to rows of an output; return those that are as the crop says.

    The parameters are as for `decode_or_share`.
    """
    marks = write_crops([*arrays], [*firsts.values()], crop, rows_of(output))
    return {frame for frame, mark in zip(firsts, marks, strict=True) if mark == Rung.ARRAY}


def copy_held(
    area: FrameArea,
    crop: Crop,
    video: int,
    firsts: Mapping[int, int],
    output: NDArray[Any],
    slots: Mapping[int, int],
) -> set[int]:
    """Copy frames from their slots to rows of an output; return those that were there.

    The parameters are as for `decode_or_share`.
    """
    kept = [slots[frame] for frame in firsts]
    marks = area.copy_crops(video, [*firsts], kept, [*firsts.values()], crop, rows_of(output))
    return {frame for frame, mark in zip(firsts, marks, strict=True) if mark == HELD_MARK}


def placed(marks: Mapping[int, int]) -> Collection[int]:
    """Return the frames that are placed, by their marks."""
    if _PLACED.issuperset(marks.values()):
        return marks.keys()
    return {frame for frame, mark in marks.items() if mark in _PLACED}


def count_marks(marks: bytes, size: tuple[int, int], source: Source, scale: int, meter: Meter) -> None:
    """Count frames of a size, of which a part was decoded at a scale, by their marks."""
    top, left, bottom, right = source
    pixels, decoded = size[0] * size[1] / scale**2, (bottom - top) * (right - left) / scale**2
    for mark in {*marks}:
        count = marks.count(mark)
        if mark <= LAST_RUNG:
            meter.add_decoded(mark, pixels, decoded, count)
        elif mark == FILLED_MARK:
            meter.add_decoded(LAST_RUNG, pixels, pixels, count)
            meter.add(FILLED, count)
        elif mark == HELD_MARK:
            meter.add(HELD, count)


def rows_of(output: NDArray[Any]) -> NDArray[Any]:
    """View an output as native code takes it: with four axes, as unsigned integers."""
    if output.ndim < 4:  # noqa: PLR2004 - masks have no last axis
        output = output[..., None]
    return bits_of(output)


def bits_of(array: NDArray[Any]) -> NDArray[Any]:
    """View an array as native code takes it: as unsigned integers."""
    return array if array.dtype == np.uint8 else array.view(f"u{array.itemsize}")

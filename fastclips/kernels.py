"""Pixel loops, compiled: cut a box out of a frame, mirror it, send it through a table, in one pass.

The only importer of numba. Importing this module compiles every kernel or loads it from numba's cache on
disk, so the nursery does so once, before it forks workers; afterwards nothing compiles.

`crop` and `crop_table` are plain Python: they check shapes and bounds, once and up front, because a kernel
checks nothing and would read or write past an array's end. The kernels then see flat arrays and counts.
What makes them fast, each found by measurement (benchmarks/test_kernels.py):

- all counts are unsigned, so numba emits no test for negative indices, which would stop vectorisation;
- the channel count is a constant, 1 or 3, in the loops that matter: `inline="always"` copies the loop into
  each branch of the kernel, LLVM unrolls its channels and turns the rest into byte shuffles. Other counts
  work, more slowly. Closures over a constant would do the same, but kernels that differ only in what they
  close over share a symbol name, and numba's cache may mix those up (numba#10486);
- an unflipped row is a run of bytes, whatever its channels.

A table lookup moves bits, whatever they mean: tables are seen as unsigned integers of their width.
"""

from __future__ import annotations

import fcntl
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numba import boolean, config, njit, types, uint8, uint16, uint32, uint64, void

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    _Array = NDArray[Any]
    _Function = TypeVar("_Function", bound=Callable[..., None])

__all__ = ["crop", "crop_table"]

# An unsigned count and a Python int make a float in numba, so constants are unsigned too.
_ONE = np.uint64(1)
_THREE = np.uint64(3)
_ENTRIES = np.uint64(256)

_inline: Callable[[_Function], _Function] = njit(inline="always")


def _compile(function: _Function, *signatures: object) -> _Function:
    """Compile a kernel for all its signatures, or load it from the cache; never again when called."""
    if config.DISABLE_JIT:
        return function
    try:
        return _build(function, signatures, cache=True)
    except (OSError, RuntimeError):  # no writable place for a cache, or one that is full
        return _build(function, signatures, cache=False)


def _build(function: _Function, signatures: tuple[object, ...], *, cache: bool) -> _Function:
    kernel: Any = njit(function, nogil=True, cache=cache)
    with _alone(kernel.stats.cache_path):
        for signature in signatures:
            kernel.compile(signature)
    kernel.disable_compile()
    compiled: _Function = kernel
    return compiled


@contextmanager
def _alone(folder: str | None) -> Iterator[None]:
    """Keep other processes out of the cache: numba may crash when several write it at once (numba#4807).

    The lock of a process that dies is released by the system. Where none can be had, go on without.
    """
    if folder is None:
        yield
        return
    with (Path(folder) / "fastclips.lock").open("wb") as file:
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@_inline
def _copy_rows(
    source: _Array,
    start: int,
    pitch: int,
    flip: bool,
    out: _Array,
    height: int,
    width: int,
    channels: int,
    across: int,
    plane: int,
) -> None:
    for y in range(height):
        take = start + y * pitch
        put = y * width * across
        if flip:
            for x in range(width):
                for c in range(channels):
                    out[put + x * across + c * plane] = source[take - x * channels + c]
        else:
            for x in range(width):
                for c in range(channels):
                    out[put + x * across + c * plane] = source[take + x * channels + c]


@_inline
def _look_up_rows(
    source: _Array,
    start: int,
    pitch: int,
    flip: bool,
    table: _Array,
    out: _Array,
    height: int,
    width: int,
    channels: int,
    across: int,
    plane: int,
) -> None:
    for y in range(height):
        take = start + y * pitch
        put = y * width * across
        if flip:
            for x in range(width):
                for c in range(channels):
                    value = np.uint64(source[take - x * channels + c])
                    out[put + x * across + c * plane] = table[c * _ENTRIES + value]
        else:
            for x in range(width):
                for c in range(channels):
                    value = np.uint64(source[take + x * channels + c])
                    out[put + x * across + c * plane] = table[c * _ENTRIES + value]


def _copy(
    source: _Array,
    start: int,
    pitch: int,
    flip: bool,
    out: _Array,
    height: int,
    width: int,
    channels: int,
    planar: bool,
) -> None:
    across = _ONE if planar else channels
    plane = height * width if planar else _ONE
    if channels == _ONE:
        _copy_rows(source, start, pitch, flip, out, height, width, _ONE, _ONE, _ONE)
    elif channels == _THREE and planar:
        _copy_rows(source, start, pitch, flip, out, height, width, _THREE, _ONE, plane)
    elif channels == _THREE:
        _copy_rows(source, start, pitch, flip, out, height, width, _THREE, _THREE, _ONE)
    else:
        _copy_rows(source, start, pitch, flip, out, height, width, channels, across, plane)


def _look_up(
    source: _Array,
    start: int,
    pitch: int,
    flip: bool,
    table: _Array,
    out: _Array,
    height: int,
    width: int,
    channels: int,
    planar: bool,
) -> None:
    across = _ONE if planar else channels
    plane = height * width if planar else _ONE
    if channels == _THREE:
        _look_up_rows(source, start, pitch, flip, table, out, height, width, _THREE, across, plane)
    else:
        _look_up_rows(source, start, pitch, flip, table, out, height, width, channels, across, plane)


def _read_only(item: object) -> object:
    return types.Array(item, 1, "C", readonly=True)  # also takes arrays that are writable


_BOX = (_read_only(uint8), uint64, uint64, boolean)
_SHAPE = (uint64, uint64, uint64, boolean)
_copy = _compile(_copy, void(*_BOX, uint8[::1], *_SHAPE))
_look_up = _compile(
    _look_up, *(void(*_BOX, _read_only(item), item[::1], *_SHAPE) for item in (uint8, uint16, uint32))
)
_BITS = {1: "u1", 2: "u2", 4: "u4"}  # unsigned integers, by their bytes


def crop(
    source: NDArray[np.uint8],
    top: int,
    left: int,
    flip: bool,
    out: NDArray[np.uint8],
    *,
    channels_first: bool = False,
) -> None:
    """Copy a box of a frame, mirrored from left to right if asked.

    Parameters
    ----------
    source : ndarray of uint8
        A frame, (H, W, C) or (H, W), C-contiguous.
    top, left : int
        The box's first row and column in `source`.
    flip : bool
        Whether to mirror the box.
    out : ndarray of uint8
        Filled with the box, whose size it sets: (h, w, C), (C, h, w) if `channels_first`, or (h, w) for a
        two-dimensional `source`. C-contiguous; must not overlap `source`.
    channels_first : bool, optional
        Whether `out` is (C, h, w).

    Raises
    ------
    ValueError
        If an array is not as described, or the box leaves the frame.
    """
    if out.dtype != np.uint8:
        raise ValueError(f"out must be uint8, not {out.dtype}; crop_table converts")
    height, width, channels = _box_shape(source, top, left, out, channels_first)
    pitch = source.shape[1] * channels
    start = top * pitch + left * channels
    if flip:
        start += (width - 1) * channels
    elif not channels_first:
        width, channels = width * channels, 1
    _copy(source.reshape(-1), start, pitch, flip, out.reshape(-1), height, width, channels, channels_first)


def crop_table(
    source: NDArray[np.uint8],
    top: int,
    left: int,
    flip: bool,
    table: NDArray[Any],
    out: NDArray[Any],
    *,
    channels_first: bool = False,
) -> None:
    """Copy a box of a frame as `crop` does, each value through its channel's table.

    Parameters
    ----------
    source : ndarray of uint8
        A frame, (H, W, C) or (H, W), C-contiguous.
    top, left : int
        The box's first row and column in `source`.
    flip : bool
        Whether to mirror the box.
    table : ndarray
        What becomes of each value in each channel, (C, 256), C-contiguous, of any dtype of 1, 2 or 4 bytes.
    out : ndarray
        As in `crop`, with the dtype of `table`. Must not overlap `source` or `table`.
    channels_first : bool, optional
        Whether `out` is (C, h, w).

    Raises
    ------
    ValueError
        If an array is not as described, or the box leaves the frame.
    """
    height, width, channels = _box_shape(source, top, left, out, channels_first)
    if table.shape != (channels, 256) or not table.flags.c_contiguous:
        raise ValueError(f"table must be C-contiguous, {(channels, 256)}, not {table.shape}")
    bits = _BITS.get(table.dtype.itemsize)
    if bits is None or table.dtype != out.dtype:
        raise ValueError(
            f"table and out must share one dtype of 1, 2 or 4 bytes, not {table.dtype} and {out.dtype}"
        )
    pitch = source.shape[1] * channels
    start = top * pitch + (left + (width - 1) * flip) * channels
    _look_up(
        source.reshape(-1),
        start,
        pitch,
        flip,
        table.reshape(-1).view(bits),
        out.reshape(-1).view(bits),
        height,
        width,
        channels,
        channels_first,
    )


def _box_shape(
    source: NDArray[np.uint8], top: int, left: int, out: NDArray[Any], channels_first: bool
) -> tuple[int, int, int]:
    """Return height, width and channels of the box after checking that it can be cut."""
    if source.dtype != np.uint8 or source.ndim not in (2, 3) or not source.flags.c_contiguous:
        raise ValueError(
            f"source must be C-contiguous uint8, (H, W) or (H, W, C), not {source.dtype} {source.shape}"
        )
    flags = out.flags
    if out.ndim != source.ndim or not (flags.c_contiguous and flags.writeable):
        raise ValueError(
            f"out must be writable, C-contiguous and have {source.ndim} axes as source has, not {out.shape}"
        )
    if source.ndim == 2:  # noqa: PLR2004 - height and width
        height, width = out.shape
        channels = given = 1
    else:
        channels = source.shape[2]
        if channels_first:
            given, height, width = out.shape
        else:
            height, width, given = out.shape
    if given != channels:
        raise ValueError(f"out {out.shape} must have the {channels} channels of source")
    if not (0 <= top <= source.shape[0] - height and 0 <= left <= source.shape[1] - width):
        raise ValueError(
            f"a box of {height} x {width} at row {top}, column {left} leaves the frame of "
            f"{source.shape[0]} x {source.shape[1]}"
        )
    return height, width, channels

"""Compiled pixel loops: crop a box of a frame, mirror it and look its bytes up in a table, in one pass.

Importing this module compiles every kernel, or loads it from numba's cache on disk. The nursery imports it
once, before it forks workers; nothing compiles afterwards.

numba does not check bounds, so each kernel first checks the box against the shapes; its signature checks
types, axes and contiguity. A refused call is explained in Python afterwards, so that a correct call pays for
no check in Python.

Why the kernels are fast, each reason measured (benchmarks/test_kernels.py):

- All counts are unsigned: numba then emits no test for negative indices, which would stop vectorisation.
- The channel count is a constant, 1 or 3, in the loops that matter: `inline="always"` copies the loop into
  each branch of the kernel, LLVM unrolls the channels and turns the rest into byte shuffles. Other counts
  work, more slowly. Closures over a constant would do the same, but kernels that differ only in a closed-over
  value share a symbol name, and numba's cache may confuse them (numba#10486).
- A row that is not mirrored is copied as a run of bytes, whatever its channels.
- A batch is larger than the caches, and its writer does not read it again. With `bypass_cache`, rows are made
  in a small buffer and go from there to memory in whole cache lines: memory is not read first, and the
  decoder's data stay in the caches.

Tables are seen as unsigned integers of their width, since a lookup moves bits whatever they mean.
"""

# ruff: noqa: ANN401 - numba and llvmlite have no types
from __future__ import annotations

import fcntl
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import numpy as np
from llvmlite import ir
from numba import boolean, config, int64, njit, types, uint8, uint16, uint32
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from fastclips._native import CACHE_LINE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import DTypeLike, NDArray

    _Array = NDArray[Any]
    _Function = TypeVar("_Function", bound=Callable[..., Any])

__all__ = ["array", "compile_kernel", "crop", "crop_table", "inline"]

# An unsigned count with a Python int gives a float in numba, so constants are unsigned, too.
_ONE = np.uint64(1)
_THREE = np.uint64(3)
_ENTRIES = np.uint64(256)
_NONE = np.uint64(0)
_LINE = np.uint64(CACHE_LINE)
_LOCK_S = 30.0  # several times as long as compiling takes
_STAGING = 8 * 1024  # bytes; fits the first-level cache

inline: Callable[[_Function], _Function] = njit(inline="always")


def compile_kernel(function: _Function, *signatures: object) -> _Function:
    """Compile a kernel for all its signatures, or load it from the cache; calls never compile."""
    if config.DISABLE_JIT:
        return function
    try:
        return _build(function, signatures, cache=True)
    except (OSError, RuntimeError):  # the cache is not writable, full or locked
        return _build(function, signatures, cache=False)


def _build(function: _Function, signatures: tuple[object, ...], *, cache: bool) -> _Function:
    kernel: Any = njit(function, nogil=True, cache=cache)
    with _lock_cache(kernel.stats.cache_path):
        for signature in signatures:
            kernel.compile(signature)
    kernel.disable_compile()
    compiled: _Function = kernel
    return compiled


@contextmanager
def _lock_cache(folder: str | None) -> Iterator[None]:
    """Lock numba's cache, since numba may crash if several processes write it at once (numba#4807).

    The kernel releases the lock of a dead process. On a file system without locks, this does nothing.
    """
    if folder is None:
        yield
        return
    with (Path(folder) / "fastclips.lock").open("wb") as file:
        deadline = monotonic() + _LOCK_S
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if monotonic() > deadline:  # perhaps the holder is stopped
                    raise TimeoutError("numba's cache is locked") from None
                sleep(0.05)
            except OSError:  # the file system has no locks
                break
        yield


@inline
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


@inline
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


def _line_plainly(out: Any, at: int, source: Any, take: int, items: int) -> None:
    out[at : at + items] = source[take : take + items]


def _line_past_the_caches(_: object, out: Any, at: Any, source: Any, take: Any, items: Any) -> object:
    def emit(context: Any, builder: Any, signature: Any, values: Any) -> object:
        def pointer(array: int, index: int) -> object:
            made = context.make_array(signature.args[array])(context, builder, values[array])
            return builder.bitcast(builder.gep(made.data, [values[index]]), line.as_pointer())

        line = ir.VectorType(ir.IntType(8), int(_LINE))
        store = builder.store(builder.load(pointer(2, 3), align=1), pointer(0, 1), align=int(_LINE))
        store.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)]))
        return context.get_dummy_value()

    return types.void(out, at, source, take, items), emit


def _fence(_: object) -> object:
    def emit(context: Any, builder: Any, *_: object) -> object:
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), emit


def _bytes_plainly(frame: Any, count: int) -> Any:
    return np.lib.stride_tricks.as_strided(frame, (count,), (1,))


def _bytes_from(_: object, frame: Any, count: Any) -> object:
    flat = types.Array(frame.dtype, 1, "C", readonly=True)

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> object:
        given = context.make_array(signature.args[0])(context, builder, values[0])
        made = context.make_array(flat)(context, builder)
        one = context.get_constant(types.intp, 1)
        populate_array(
            made, data=given.data, shape=[values[1]], strides=[one], itemsize=one, meminfo=None, parent=None
        )
        return made._getvalue()  # noqa: SLF001 - numba has no public way

    return flat(frame, count), emit


if config.DISABLE_JIT:
    _bytes: Any = _bytes_plainly
    _store_line: Any = _line_plainly
    _finish_lines: Any = lambda: None  # noqa: E731 - replaces an instruction
else:
    _bytes = intrinsic(_bytes_from)  # views `count` bytes of a frame, gaps between rows included
    _store_line = intrinsic(_line_past_the_caches)  # one cache line, to an aligned address
    _finish_lines = intrinsic(_fence)  # non-temporal stores are not ordered otherwise


@inline
def _store_block(
    out: Any, staging: Any, y: int, rows: int, height: int, row: int, planes: int, items: int
) -> None:
    """Store finished rows of each plane in `out`, one cache line of `items` items at a time."""
    for plane in range(planes):
        put = (plane * height + y) * row
        take = plane * rows * row
        for line in range(rows * row // items):
            _store_line(out, put + line * items, staging, take + line * items, items)


@inline
def _measure(
    source: _Array, top: int, left: int, flip: bool, out: _Array, planar: bool, bypass_cache: bool
) -> tuple[bool, int, int, int, int, int, int]:
    """Return whether a box fits, and its first byte, pitch, height, width, channels and block.

    A block is the number of rows that are staged at a time, in whole cache lines; 0 if `out` is written
    directly.
    """
    frame_height, frame_width, channels = source.shape
    if planar:
        depth, height, width = out.shape
    else:
        height, width, depth = out.shape
    fits = depth == channels and 0 <= top <= frame_height - height and 0 <= left <= frame_width - width
    pitch, between, within = source.strides
    together = (channels == 1 or within == 1) and (frame_width == 1 or between == channels)
    fits = fits and together and (frame_height == 1 or pitch >= frame_width * channels)
    start = top * pitch + (left + (width - 1 if flip else 0)) * channels
    row = width * out.itemsize * (1 if planar else channels)
    block = 0
    if bypass_cache and row > 0 and height * row % CACHE_LINE == 0 and out.ctypes.data % CACHE_LINE == 0:
        lines = 1
        while lines * row % CACHE_LINE:
            lines += 1
        block = _STAGING // (lines * row * (channels if planar else 1)) * lines
    return fits, start, pitch, height, width, channels, block


def _copy(
    frame: _Array,
    top: int,
    left: int,
    flip: bool,
    out: _Array,
    planar: bool,
    staging: _Array,
    bypass_cache: bool,
) -> bool:
    fits, first, apart, tall, wide, deep, block = _measure(frame, top, left, flip, out, planar, bypass_cache)
    if not fits:
        return False
    start, pitch = np.uint64(first), np.uint64(apart)
    count = (frame.shape[0] - 1) * apart + frame.shape[1] * deep
    height, width, channels = np.uint64(tall), np.uint64(wide), np.uint64(deep)
    if not flip and not planar:
        width, channels = width * channels, _ONE
    source, flat = _bytes(frame, count), out.reshape(-1)
    staged = block > 0
    target = staging if staged else flat
    most = np.uint64(block) if staged else height
    planes = channels if planar else _ONE
    y = _NONE
    while y < height:
        rows = min(most, height - y)
        begin = start + y * pitch
        size = rows * width
        if channels == _ONE:
            _copy_rows(source, begin, pitch, flip, target, rows, width, _ONE, _ONE, _ONE)
        elif channels == _THREE and planar:
            _copy_rows(source, begin, pitch, flip, target, rows, width, _THREE, _ONE, size)
        elif channels == _THREE:
            _copy_rows(source, begin, pitch, flip, target, rows, width, _THREE, _THREE, _ONE)
        elif planar:
            _copy_rows(source, begin, pitch, flip, target, rows, width, channels, _ONE, size)
        else:
            _copy_rows(source, begin, pitch, flip, target, rows, width, channels, channels, _ONE)
        if staged:
            row = width if planar else width * channels
            _store_block(flat, staging, y, rows, height, row, planes, _LINE)
        y += rows
    if staged:
        _finish_lines()
    return True


def _look_up(
    frame: _Array,
    top: int,
    left: int,
    flip: bool,
    tables: _Array,
    out: _Array,
    planar: bool,
    staging: _Array,
    bypass_cache: bool,
) -> bool:
    fits, first, apart, tall, wide, deep, block = _measure(frame, top, left, flip, out, planar, bypass_cache)
    if not fits:
        return False
    start, pitch = np.uint64(first), np.uint64(apart)
    count = (frame.shape[0] - 1) * apart + frame.shape[1] * deep
    height, width, channels = np.uint64(tall), np.uint64(wide), np.uint64(deep)
    source, table, flat = _bytes(frame, count), tables.reshape(-1), out.reshape(-1)
    staged = block > 0
    target = staging if staged else flat
    most = np.uint64(block) if staged else height
    planes = channels if planar else _ONE
    across = _ONE if planar else channels
    items = _LINE // np.uint64(out.itemsize)
    y = _NONE
    while y < height:
        rows = min(most, height - y)
        begin = start + y * pitch
        plane = rows * width if planar else _ONE
        if channels == _THREE:
            _look_up_rows(source, begin, pitch, flip, table, target, rows, width, _THREE, across, plane)
        else:
            _look_up_rows(source, begin, pitch, flip, table, target, rows, width, channels, across, plane)
        if staged:
            _store_block(flat, staging, y, rows, height, width * across, planes, items)
        y += rows
    if staged:
        _finish_lines()
    return True


def array(item: Any, axes: int, *, readonly: bool = False, layout: str = "C") -> object:
    """Return numba's type of an array; a read-only type also takes writable arrays."""
    return types.Array(item, axes, layout, readonly=readonly)


_BOX = (array(uint8, 3, readonly=True, layout="A"), int64, int64, boolean)
_copy = compile_kernel(_copy, boolean(*_BOX, array(uint8, 3), boolean, array(uint8, 1), boolean))
_look_up = compile_kernel(
    _look_up,
    *(
        boolean(*_BOX, array(item, 2, readonly=True), array(item, 3), boolean, array(item, 1), boolean)
        for item in (uint8, uint16, uint32)
    ),
)
_BITS = {1: "u1", 2: "u2", 4: "u4"}  # unsigned integers, by their bytes
_staging = {bits: np.empty(_STAGING // size, bits) for size, bits in _BITS.items()}


def crop(
    source: NDArray[np.uint8],
    top: int,
    left: int,
    flip: bool,
    out: NDArray[np.uint8],
    *,
    channels_first: bool = False,
    bypass_cache: bool = False,
) -> None:
    """Copy a box of a frame, mirrored from left to right if `flip`.

    Parameters
    ----------
    source : ndarray of uint8
        A frame, (H, W, C) or (H, W); the pixels of a row lie together, rows may lie apart.
    top, left : int
        The box's first row and column in `source`.
    flip : bool
        Whether to mirror the box.
    out : ndarray of uint8
        Receives the box, and sets its size: (h, w, C), (C, h, w) if `channels_first`, or (h, w) for a
        two-dimensional `source`. C-contiguous; must not overlap `source`.
    channels_first : bool, optional
        Whether `out` is (C, h, w).
    bypass_cache : bool, optional
        Whether to write past the caches, which is faster if `out` is not read again soon. Has no effect
        unless `out` and each of its planes are whole cache lines. Not for several threads at once, since they
        would share a buffer.

    Raises
    ------
    ValueError
        If an array is not as described, or the box leaves the frame.
    """
    frame, target, planar = source, out, channels_first
    if source.ndim == out.ndim == 2:  # noqa: PLR2004 - height and width
        frame, target, planar = source[:, :, None], out[:, :, None], False
    try:
        fits = _copy(frame, top, left, flip, target, planar, _staging["u1"], bypass_cache)
    except (TypeError, OverflowError):  # no kernel has such a signature
        fits = False
    if not fits:
        _explain(source, top, left, out, channels_first, np.uint8)


def crop_table(
    source: NDArray[np.uint8],
    top: int,
    left: int,
    flip: bool,
    table: NDArray[Any],
    out: NDArray[Any],
    *,
    channels_first: bool = False,
    bypass_cache: bool = False,
) -> None:
    """Copy a box of a frame as `crop` does, looking up each byte in its channel's table.

    Parameters
    ----------
    source : ndarray of uint8
        A frame, (H, W, C) or (H, W); the pixels of a row lie together, rows may lie apart.
    top, left : int
        The box's first row and column in `source`.
    flip : bool
        Whether to mirror the box.
    table : ndarray
        Output for each byte of each channel, (C, 256), C-contiguous, of any dtype of 1, 2 or 4 bytes.
    out : ndarray
        As in `crop`, with the dtype of `table`. Must not overlap `source` or `table`.
    channels_first : bool, optional
        Whether `out` is (C, h, w).
    bypass_cache : bool, optional
        As in `crop`.

    Raises
    ------
    ValueError
        If an array is not as described, or the box leaves the frame.
    """
    bits = _BITS.get(table.dtype.itemsize)
    if bits is None or table.dtype != out.dtype:
        raise ValueError(
            f"table of {table.dtype} and out of {out.dtype}: must have one dtype of 1, 2 or 4 bytes"
        )
    channels = 1 if source.ndim == 2 else source.shape[-1]  # noqa: PLR2004 - height and width
    if table.shape != (channels, 256) or not table.flags.c_contiguous:
        raise ValueError(f"table of shape {table.shape}: must be C-contiguous, {(channels, 256)}")
    frame, target, planar = source, out.view(bits), channels_first
    if source.ndim == out.ndim == 2:  # noqa: PLR2004 - height and width
        frame, target, planar = source[:, :, None], target[:, :, None], False
    try:
        fits = _look_up(
            frame, top, left, flip, table.view(bits), target, planar, _staging[bits], bypass_cache
        )
    except (TypeError, OverflowError):  # no kernel has such a signature
        fits = False
    if not fits:
        _explain(source, top, left, out, channels_first, out.dtype)


def _explain(
    source: NDArray[np.uint8],
    top: int,
    left: int,
    out: NDArray[Any],
    channels_first: bool,
    dtype: DTypeLike,
) -> NoReturn:
    """Raise an error that says why a kernel refused its arguments."""
    if source.dtype != np.uint8 or source.ndim not in (2, 3) or not source[:1].flags.c_contiguous:
        raise ValueError(
            f"source of {source.dtype} {source.shape}: must be uint8, (H, W) or (H, W, C), the pixels of a "
            "row together"
        )
    if out.dtype != dtype:
        raise ValueError(f"out of {out.dtype}: must be uint8; crop_table converts")
    if out.ndim != source.ndim or not (out.flags.c_contiguous and out.flags.writeable):
        raise ValueError(
            f"out of shape {out.shape}: must be writable, C-contiguous and have {source.ndim} axes, as source"
        )
    height, width, *depth = out.shape
    if channels_first and depth:
        depth, height, width = [height], width, depth[0]
    if depth and depth[0] != source.shape[2]:
        raise ValueError(f"out of shape {out.shape}: must have the {source.shape[2]} channels of source")
    raise ValueError(
        f"a box of {height} x {width} at row {top}, column {left} leaves the frame of "
        f"{source.shape[0]} x {source.shape[1]}"
    )

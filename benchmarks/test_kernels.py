"""What do the kernels cost per frame, compared with NumPy's copy and OpenCV's routines?

A box of 224 x 224 is cut from a frame of 340 x 256, which takes 260 to 320 us to decode. Run::

    python -m pytest benchmarks/test_kernels.py --benchmark-columns=median,iqr --benchmark-sort=name

Measured in us, medians, one core of a Xeon (Sapphire Rapids), numba 0.68, NumPy 2.4, OpenCV 5.0::

                                  as it is   flipped
    crop, (h, w, 3)                    5.3       6.0
    crop, (3, h, w)                    8.7       6.9
    crop, mask                         2.8       2.6
    numpy.copyto                       4.5     209.9
    cv2.flip                                     6.4

    through a table to               uint8   float16   float32
    crop_table, (h, w, 3)               38        38        40
    crop_table, (3, h, w)               55        50        49
    cv2.LUT                             94                  80

All data is in the CPU's caches. Writing a frame to memory costs more: see `bypass_cache` in
`fastclips/pixels/geometry/kernels.py`.
"""  # noqa: D400 - a question

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from fastclips.pixels.geometry.kernels import crop, crop_table

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

cv2.setNumThreads(1)
RNG = np.random.default_rng(0)
FRAME = RNG.integers(0, 256, (256, 340, 3), np.uint8)
TOP, LEFT, SIZE = 17, 55, 224
BOX = FRAME[TOP : TOP + SIZE, LEFT : LEFT + SIZE]
LAYOUTS = {"HWC": (SIZE, SIZE, 3), "CHW": (3, SIZE, SIZE)}


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_crop(benchmark: BenchmarkFixture, layout: str, flip: bool) -> None:
    """Cut a box from a picture."""
    out = np.empty(LAYOUTS[layout], np.uint8)
    benchmark(crop, FRAME, TOP, LEFT, flip, out, channels_first=layout == "CHW")


@pytest.mark.parametrize("flip", [False, True])
def test_crop_mask(benchmark: BenchmarkFixture, flip: bool) -> None:
    """Cut a box from a mask."""
    out = np.empty((SIZE, SIZE), np.uint8)
    benchmark(crop, np.ascontiguousarray(FRAME[..., 0]), TOP, LEFT, flip, out)


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_crop_table(benchmark: BenchmarkFixture, layout: str, dtype: str) -> None:
    """Cut a box and convert it."""
    out = np.empty(LAYOUTS[layout], dtype)
    table = RNG.integers(0, 256, (3, 256)).astype(dtype)
    benchmark(crop_table, FRAME, TOP, LEFT, False, table, out, channels_first=layout == "CHW")


@pytest.mark.parametrize("flip", [False, True])
def test_numpy_copy(benchmark: BenchmarkFixture, flip: bool) -> None:
    """Cut a box with NumPy alone."""
    box = BOX[:, ::-1] if flip else BOX
    benchmark(np.copyto, np.empty_like(BOX), box)


def test_cv2_flip(benchmark: BenchmarkFixture) -> None:
    """Cut and mirror a box with OpenCV."""
    benchmark(cv2.flip, BOX, 1, dst=np.empty_like(BOX))


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_cv2_lut(benchmark: BenchmarkFixture, dtype: str) -> None:
    """Convert a box with OpenCV."""
    table: Any = RNG.integers(0, 256, (1, 256, 3)).astype(dtype)
    benchmark(cv2.LUT, BOX, table, dst=np.empty(BOX.shape, dtype))

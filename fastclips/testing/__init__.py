"""Data for examples and tests, and checks for pixel steps, samplers and storages of your own."""

from fastclips.testing.frames import write_frames
from fastclips.testing.pixel_steps import check_pixel_step

__all__ = ["check_pixel_step", "write_frames"]

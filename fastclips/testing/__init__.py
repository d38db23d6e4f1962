"""Data for examples and tests, and checks for pixel steps, samplers and storages of your own."""

from fastclips.testing.frames import write_frames
from fastclips.testing.pixel_steps import check_pixel_step
from fastclips.testing.samplers import check_sampler

__all__ = ["check_pixel_step", "check_sampler", "write_frames"]

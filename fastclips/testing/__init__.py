"""Synthetic data for examples and tests, and checks for your own pixel steps, samplers and storages."""

from fastclips.testing.frames import write_frames
from fastclips.testing.pixel_steps import check_pixel_step
from fastclips.testing.samplers import check_sampler
from fastclips.testing.storages import check_storage
from fastclips.testing.videos import write_videos

__all__ = ["check_pixel_step", "check_sampler", "check_storage", "write_frames", "write_videos"]

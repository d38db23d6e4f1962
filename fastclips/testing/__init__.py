"""Data for examples and tests, and checks for pixel steps, samplers and storages of your own."""

from fastclips.testing.frames import write_frames
from fastclips.testing.storages import check_storage

__all__ = ["check_storage", "write_frames"]

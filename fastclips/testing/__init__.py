"""Data for examples and tests, and checks for pixel steps, samplers and storages of your own."""

from fastclips.testing.frames import write_frames

__all__ = ["write_frames"]

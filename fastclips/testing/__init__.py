"""Synthetic data for examples and tests."""

from fastclips.testing.frames import write_frames

__all__ = ["write_frames"]

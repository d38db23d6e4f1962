"""Map draws in [0, 1) to numbers of a range."""

from __future__ import annotations

import math

__all__ = ["pick", "pick_power"]


def pick(low: float, high: float, draw: float) -> float:
    """Return the number of a range that a draw in [0, 1) means: uniform."""
    return low + (high - low) * draw


def pick_power(low: float, high: float, draw: float) -> float:
    """Return the power of a range that a draw in [0, 1) means: its logarithm is uniform."""
    return low * math.pow(high / low, draw)

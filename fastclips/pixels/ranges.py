"""Draws in [0, 1) -> numbers of a range."""

from __future__ import annotations

import math

__all__ = ["pick", "pick_power"]


def pick(low: float, high: float, draw: float) -> float:
    """Return ``low + (high - low) * draw``: uniform in the range."""
    return low + (high - low) * draw


def pick_power(low: float, high: float, draw: float) -> float:
    """Return ``low * (high / low) ** draw``: its logarithm is uniform in the range."""
    return low * math.pow(high / low, draw)

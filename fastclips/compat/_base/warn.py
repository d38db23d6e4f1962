"""Warnings that point at the user's line."""

from __future__ import annotations

import sys
import warnings

__all__ = ["warn"]


def warn(message: str, kind: type[Warning] = UserWarning) -> None:
    """Warn, as from the nearest caller that is outside of fastclips."""
    level = 1
    while sys._getframe(level).f_globals.get("__name__", "").startswith("fastclips."):  # noqa: SLF001 - CPython's
        level += 1
    warnings.warn(message, kind, stacklevel=level + 1)

"""Which engine renders: workers, or the calling process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastclips.engine.inline import Inline
from fastclips.engine.pool import Pool

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from fastclips.engine.contract import Engine
    from fastclips.spec import RenderSpec

__all__ = ["new_engine"]


def new_engine(
    spec: RenderSpec,
    *,
    workers: int,
    memory: int,
    cache: int | None,
    most_frames: int,
    name: Callable[[np.void], str],
    timeout: float | None,
    most_deaths: int,
) -> Engine:
    """Return a `Pool` of workers, or `Inline` for none; the other parameters are those of `Pool`."""
    if not workers:
        return Inline(spec, name)
    return Pool(
        spec,
        workers=workers,
        memory=memory,
        cache=cache,
        most_frames=most_frames,
        name=name,
        timeout=timeout,
        most_deaths=most_deaths,
    )

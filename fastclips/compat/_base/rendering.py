"""Base of the renderers of compat. Runs in workers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from fastclips.data.storage import count_bytes, read_present
from fastclips.engine.rendering import BYTES, DECODE, READ, Meter

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from fastclips.data.storage import Storage

__all__ = ["SampleRenderer", "read_frame"]


class SampleRenderer(ABC):
    """Turns a ticket of `fastclips.compat._base.tickets.sample_ticket` into a row of a batch.

    Parameters
    ----------
    spec : RenderSpec
        What to render.
    single_threaded : bool
        Part of the contract of `fastclips.engine.worker.AnyRenderer`; makes no difference here.
    """

    def __init__(self, spec: Any, *, single_threaded: bool = False) -> None:  # noqa: ANN401 - each has its own
        del single_threaded
        self._spec = spec

    def render(self, ticket: np.void, row: Mapping[str, NDArray[Any]], counters: NDArray[np.float64]) -> None:
        """Write a row, and add to the counters; see `fastclips.engine.worker.AnyRenderer`.

        Raises
        ------
        FrameError
            If a file is missing, damaged or does not fit.
        """
        with Meter(counters) as meter:
            meter.add_clip(self.write(ticket, row, meter))

    @abstractmethod
    def write(self, ticket: np.void, row: Mapping[str, NDArray[Any]], meter: Meter) -> int:
        """Write a row; return its number of frames."""


def read_frame(storage: Storage, stream: str, number: int, meter: Meter) -> Any:  # noqa: ANN401 - bytes, or an array
    """Return a frame of video 0; count its bytes and the time."""
    meter.begin(READ)
    data = read_present(storage, stream, 0, number)
    meter.add(BYTES, count_bytes(data))
    meter.lap(READ)
    meter.begin(DECODE)
    return data

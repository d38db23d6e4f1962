"""What all renderers of compat share: counting, timing, and errors that name their file. Runs in workers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING, Any

from fastclips.data.storage import count_bytes
from fastclips.engine.arena import COUNTERS
from fastclips.errors import FastclipsError, FrameError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from fastclips.data.storage import Storage
    from fastclips.pixels.decoding.decoder import Decoded

__all__ = ["Meter", "SampleRenderer"]

_INDEX = {name: number for number, name in enumerate(COUNTERS)}


class Meter:
    """Stopwatch that adds to a worker's counters; it starts when it is made.

    Parameters
    ----------
    counters : ndarray of float64
        One for each name in `COUNTERS`.
    """

    def __init__(self, counters: NDArray[np.float64]) -> None:
        self._counters, self._began = counters, perf_counter()

    def lap(self, name: str) -> None:
        """Add the time since the last lap to a counter."""
        now = perf_counter()
        self._counters[_INDEX[name]] += now - self._began
        self._began = now

    def add(self, name: str, number: float = 1) -> None:
        """Add to a counter."""
        self._counters[_INDEX[name]] += number

    def read(self, storage: Storage, stream: str, number: int) -> Any:  # noqa: ANN401 - bytes, or an array
        """Read a frame of video 0; count its bytes and the time."""
        data = storage.read(stream, 0, number)
        self.add("bytes", count_bytes(data))
        self.lap("read_s")
        return data

    def decoded(self, frame: Decoded, pixels: int) -> None:
        """Count a decoded frame, the way it was decoded, and the pixels of the whole frame."""
        self._counters[_INDEX["sliced"] + frame.rung] += 1
        self.add("pixels", pixels)
        self.add("decoded_pixels", frame.pixels.shape[0] * frame.pixels.shape[1])


@contextmanager
def naming(storage: Storage, stream: str, number: int) -> Iterator[None]:
    """Give errors that name no file yet the path of a frame of video 0."""
    try:
        yield
    except FastclipsError as error:
        if isinstance(error, FrameError) and error.path is not None:
            raise
        path = storage.where(stream, 0, number)
        raise FrameError(f"{path}: {error}", path=path, reason=str(error)) from None


class SampleRenderer(ABC):
    """Turns a ticket into a row of a batch; see `fastclips.engine.worker.AnyRenderer`.

    Parameters
    ----------
    spec : RenderSpec
        What to render.
    single_threaded : bool
        Part of the contract; makes no difference here.
    """

    def __init__(self, spec: Any, *, single_threaded: bool = False) -> None:  # noqa: ANN401 - each has its own
        del single_threaded
        self._spec = spec

    def render(self, ticket: np.void, row: Mapping[str, NDArray[Any]], counters: NDArray[np.float64]) -> None:
        """Write a row and add to the counters.

        Parameters
        ----------
        ticket : numpy.void
            Of `fastclips.compat._base.tickets.sample_ticket`.
        row : mapping of str to ndarray
            The row's arrays.
        counters : ndarray of float64
            One for each name in `COUNTERS`.

        Raises
        ------
        FrameError
            If a file is missing, damaged or does not fit.
        """
        meter = Meter(counters)
        meter.add("frames", self.write(ticket, row, meter))
        meter.add("clips")

    @abstractmethod
    def write(self, ticket: np.void, row: Mapping[str, NDArray[Any]], meter: Meter) -> int:
        """Write a row; return its number of frames."""

"""The engine without workers: it renders in the calling process."""

from __future__ import annotations

from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.engine.arena import COUNTERS, Death, damage_to_note
from fastclips.engine.contract import Batch
from fastclips.engine.rendering import clip_name, in_words, of_clip
from fastclips.engine.worker import make_renderer, share_frames
from fastclips.errors import ClosedError, FastclipsError
from fastclips.spec import ALIGNMENT

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from fastclips.spec import RenderSpec

__all__ = ["Inline"]


class Inline:
    """Renders each batch in the caller when it is collected, without processes and without work ahead.

    Parameters
    ----------
    spec : RenderSpec
        Describes the renderer.
    name : callable, optional
        Returns the name of the clip of a ticket in messages.
    """

    def __init__(self, spec: RenderSpec, name: Callable[[np.void], str] | None = None) -> None:
        self._layout = spec.layout
        self._name = name or partial(clip_name, None)
        renderer = make_renderer(spec)
        share_frames(renderer, spec, worker=1)
        self._render = renderer.render
        self._busy = self._closed = False
        self.counters, self.fetcher_counters = np.zeros((1, len(COUNTERS))), np.zeros((0, len(COUNTERS)))
        self.notes: list[tuple[np.void, bytes]] = []
        self.waited_s = 0.0
        self.waits: list[tuple[float, str]] = []
        self.frames = self.frame_nbytes = self.wanted_nbytes = 0
        self.pids: list[int] = []
        self.states: list[str] = []

    def deaths(self) -> list[Death]:
        """Return nothing: there are no workers."""
        return []

    def has_room(self, *, beside: bool = False) -> bool:
        """Whether no submitted batch waits to be collected."""
        return beside or not self._busy

    def slot_memory(self) -> list[NDArray[np.uint8]]:
        """Return nothing: there are no slots."""
        return []

    def submit(self, tickets: NDArray[np.void]) -> Batch:
        """Accept a batch."""
        self._busy = True
        return Batch(0, tickets)

    def collect(self, batch: Batch) -> dict[str, NDArray[Any]]:
        """Render a batch and return its arrays, one per stream.

        Raises
        ------
        FrameError
            If a frame is missing, damaged or does not fit, or from an error of the user's code.
        """
        self._busy = False
        began = perf_counter()
        memory = np.empty(self._layout.nbytes + ALIGNMENT, np.uint8)
        start = -memory.ctypes.data % ALIGNMENT
        arrays = self._layout.arrays(memory[start : start + self._layout.nbytes])
        notes = []
        for row, ticket in enumerate(batch.tickets):
            if self._closed:
                raise ClosedError("the loader was closed")
            into = self._layout.of_ticket(arrays, row)
            try:
                damage = self._render(ticket, into, self.counters[0])
            except FastclipsError:
                raise
            except Exception as error:
                raise of_clip(self._name(ticket), in_words(error), ticket) from error
            if damage:
                notes.append((ticket, damage_to_note(damage)))
        self.notes += notes
        self.waited_s += perf_counter() - began
        rows = len(batch.tickets) * self._layout.ticket_rows
        return {name: array[:rows] for name, array in arrays.items()}

    def forget(self) -> None:
        """Withdraw the submitted batch."""
        self._busy = False

    def close(self) -> None:
        """End a call of `collect` in another thread after its present clip."""
        self._closed = True

    def release(self) -> None:
        """Do nothing: each batch has its own memory."""

"""A worker's loop: it claims tickets and renders them until the process is killed.

A worker may be killed at any instruction, and its work may be done twice: it owns only the row that it has
claimed.
"""

from __future__ import annotations

from pkgutil import resolve_name
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Any, Protocol

from fastclips.data.ranges import read_table
from fastclips.engine.arena import COUNTERS, RAISED, STAGES, damage_to_note, slot_views, ticket_view, to_note
from fastclips.engine.rendering import in_words
from fastclips.errors import FastclipsError
from fastclips.functions import print_traceback

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from fastclips.data.ranges import RangeStorage
    from fastclips.engine.arena import Arena, Damage
    from fastclips.spec import RenderSpec

__all__ = ["CLAIM_MS", "AnyRenderer", "make_renderer", "share_frames", "work"]

_WAIT, _SINCE, _STAGE = map(COUNTERS.index, ("wait_s", "since", "stage"))
_READ, _AHEAD = map(COUNTERS.index, ("read_s", "ahead"))
_IDLE, _READS = STAGES.index("waits for work"), STAGES.index("reads")
_PATIENCE_MS = 200  # how long to wait for a fetcher before reading the same bytes
CLAIM_MS = 1000  # longest wait for a ticket before the worker shows that it lives


class AnyRenderer(Protocol):
    """Renders a ticket into a row of a slot."""

    def render(
        self, ticket: np.void, row: Mapping[str, NDArray[Any]], counters: NDArray[np.float64]
    ) -> Sequence[Damage] | None:
        """Write a row's arrays, and add times and counts to the counters, one per name in `COUNTERS`.

        Returns
        -------
        sequence of Damage or None
            Damaged frames that were replaced, if there are any.
        """


def make_renderer(spec: RenderSpec, *, single_threaded: bool = False) -> AnyRenderer:
    """Return a renderer of the class that a spec names.

    Parameters
    ----------
    spec : RenderSpec
        Describes the renderer.
    single_threaded : bool
        Whether no other thread of this process renders.
    """
    renderer: AnyRenderer = resolve_name(spec.renderer)(spec, single_threaded=single_threaded)
    return renderer


def work(arena: Arena, spec: RenderSpec, worker: int, index: int, most_crashes: int = 0) -> None:
    """Claim tickets and render them, without an end.

    Parameters
    ----------
    arena : Arena
        The arena, shared with the trainer.
    spec : RenderSpec
        Describes the renderer.
    worker : int
        Number of this process, which no other worker of the arena ever had.
    index : int
        Row of counters, which a replacement of this worker takes over.
    most_crashes : int
        So many workers crash over a clip before it counts as damaged; 0 if it never does.
    """
    from fastclips.pixels.geometry.resample import use_one_thread  # noqa: PLC0415 - imports OpenCV

    use_one_thread()
    try:
        renderer = make_renderer(spec, single_threaded=True)
    except Exception as error:
        arena.last_words = to_note(in_words(error))
        raise
    slots = slot_views(arena, spec.layout)
    tickets = ticket_view(arena, spec.ticket_dtype)
    counters = arena.counters()[index]
    begin = _beginning(arena, spec, share_frames(renderer, spec, worker, arena), counters)
    rows = arena.rows
    while True:
        began = perf_counter()
        counters[_STAGE], counters[_SINCE] = _IDLE, monotonic()
        claim = arena.claim(worker, CLAIM_MS)
        counters[_WAIT] += perf_counter() - began
        if claim is None:
            continue
        counters[_SINCE] = monotonic()
        cell = claim[0]
        begin(*claim)
        slot, row = divmod(cell, rows)
        try:
            arrays = spec.layout.of_ticket(slots[slot], row)
            if most_crashes and arena.deaths(cell) >= most_crashes:
                why = f"{most_crashes} workers crashed over its clip"
                damage = renderer.render_lost(tickets[cell], arrays, counters, why)  # type: ignore[attr-defined]
            else:
                damage = renderer.render(tickets[cell], arrays, counters)
            if damage:
                arena.set_note(cell, damage_to_note(damage))
        except FastclipsError as error:
            arena.set_note(cell, to_note(str(error)))
            arena.finish(cell, worker, False)
        except Exception as error:  # noqa: BLE001 - the trainer must be told of any error
            print_traceback(error)
            arena.set_note(cell, RAISED + to_note(f"{in_words(error)} (the traceback is on standard error)"))
            arena.finish(cell, worker, False)
        else:
            arena.finish(cell, worker, True)


def _beginning(
    arena: Arena, spec: RenderSpec, share: Callable[[int], object], counters: NDArray[np.float64]
) -> Callable[[int, int], object]:
    """Return what is called with the cell and the number of each ticket before it is rendered."""
    if not arena.ahead_bytes:
        return lambda _, number: share(number)
    ahead = _BytesAhead(arena, spec.storage, counters)  # type: ignore[attr-defined] # a spec of clips

    def begin(cell: int, number: int) -> None:
        share(number)
        ahead.take(cell, number)

    return begin


class _BytesAhead:
    """Lends a storage the bytes of each ticket that were read ahead.

    Parameters
    ----------
    arena : Arena
        Has byte slots.
    storage : RangeStorage
        The worker's.
    counters : ndarray of float64
        The worker's row.
    """

    def __init__(self, arena: Arena, storage: RangeStorage, counters: NDArray[np.float64]) -> None:
        self._arena, self._storage, self._counters = arena, storage, counters
        self._patience_ms = _PATIENCE_MS

    def take(self, cell: int, number: int) -> None:
        """Lend what was read for a ticket; wait for it, unless the last wait was for a fetcher that hangs."""
        self._counters[_STAGE] = _READS
        began = perf_counter()
        found = self._arena.take_bytes(cell, number, self._patience_ms)
        seconds = perf_counter() - began
        self._storage.lend(read_table(self._arena.byte_slot(cell)) if found else ())
        self._counters[_AHEAD] += found
        self._counters[_READ] += seconds
        if found:
            self._patience_ms = _PATIENCE_MS
        elif seconds >= _PATIENCE_MS / 1000:
            self._patience_ms = 0


def share_frames(
    renderer: AnyRenderer, spec: RenderSpec, worker: int, arena: Arena | None = None
) -> Callable[[int], object]:
    """Give a renderer the frame slots of its spec or arena, if any; return what takes each ticket's number.

    Parameters
    ----------
    renderer : AnyRenderer
        Of the spec.
    spec : RenderSpec
        Describes the renderer.
    worker : int
        The number of the worker.
    arena : Arena, optional
        The worker's arena.
    """
    if getattr(spec, "shared", None) is None and getattr(spec, "kept", None) is None:
        return int
    from fastclips.engine.shared_frames import SharedFrames  # noqa: PLC0415 - only for clips

    shared = SharedFrames.of(spec, worker, arena)  # type: ignore[arg-type]
    renderer.shared = shared  # type: ignore[attr-defined]
    return int if shared is None else shared.begin

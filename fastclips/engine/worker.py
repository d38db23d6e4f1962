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
_IDLE = STAGES.index("waits for work")
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
    begin = share_frames(renderer, spec, worker, arena)
    take = _take_bytes(arena, spec)
    slots = slot_views(arena, spec.layout)
    tickets = ticket_view(arena, spec.ticket_dtype)
    counters = arena.counters()[index]
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
        begin(claim[1])
        if take is not None:
            take(*claim, counters)
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


def _take_bytes(arena: Arena, spec: RenderSpec) -> Callable[[int, int, NDArray[np.float64]], None] | None:
    """Return what lends the storage the bytes of a ticket that were read ahead; None if none are."""
    if not arena.ahead_bytes:
        return None
    storage: RangeStorage = spec.storage  # type: ignore[attr-defined] # only of clips

    def take(cell: int, number: int, counters: NDArray[np.float64]) -> None:
        counters[_STAGE], began = STAGES.index("reads"), perf_counter()
        found = arena.take_bytes(cell, number, _PATIENCE_MS)
        storage.lend(read_table(arena.byte_slot(cell)) if found else ())
        counters[_AHEAD] += found
        counters[_READ] += perf_counter() - began

    return take


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

"""One worker's loop: it claims tickets and renders them until the process is killed.

Everything a worker does may be done twice or stop at any instruction: it owns the row that it claimed and
nothing else.
"""

from __future__ import annotations

import traceback
from pkgutil import resolve_name
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

from fastclips.engine.arena import COUNTERS, damage_to_note, slot_views, ticket_view, to_note
from fastclips.errors import FastclipsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from fastclips.engine.arena import Arena, Damage
    from fastclips.spec import RenderSpec

__all__ = ["AnyRenderer", "make_renderer", "work"]

_WAIT = COUNTERS.index("wait_s")
_CLAIM_MS = 1000  # how long a wait for tickets may last before it looks again


class AnyRenderer(Protocol):
    """Turns a ticket into the row of a slot."""

    def render(
        self, ticket: np.void, row: Mapping[str, NDArray[Any]], counters: NDArray[np.float64]
    ) -> Sequence[Damage] | None:
        """Write a row's arrays; add what it took to the counters, one per name in `COUNTERS`.

        Returns
        -------
        sequence of Damage or None
            What was replaced, if anything was.
        """


def make_renderer(spec: RenderSpec, *, single_threaded: bool = False) -> AnyRenderer:
    """Import the class that a spec names, and make one.

    Parameters
    ----------
    spec : RenderSpec
        What to do.
    single_threaded : bool
        Whether no other thread of this process renders.

    Returns
    -------
    AnyRenderer
    """
    made: AnyRenderer = resolve_name(spec.renderer)(spec, single_threaded=single_threaded)
    return made


def work(arena: Arena, spec: RenderSpec, worker: int, index: int) -> None:
    """Claim tickets and render them, forever.

    Parameters
    ----------
    arena : Arena
        Shared with the trainer.
    spec : RenderSpec
        What to do.
    worker : int
        This process's number, which no other worker of the arena ever had.
    index : int
        Its row of counters, which a replacement takes over.
    """
    from fastclips.pixels.geometry.resample import use_one_thread  # noqa: PLC0415 - OpenCV is the workers'

    use_one_thread()
    try:
        renderer = make_renderer(spec, single_threaded=True)
    except Exception as error:
        arena.last_words = to_note(f"{type(error).__name__}: {error}")
        raise
    slots = slot_views(arena, spec.layout)
    tickets = ticket_view(arena, spec.ticket_dtype)
    counters = arena.counters()[index]
    rows = arena.rows
    while True:
        began = perf_counter()
        claim = arena.claim(worker, _CLAIM_MS)
        counters[_WAIT] += perf_counter() - began
        if claim is None:
            continue
        cell = claim[0]
        slot, row = divmod(cell, rows)
        try:
            arrays = {name: view[row, ...] for name, view in slots[slot].items()}  # arrays, also of no axes
            if damage := renderer.render(tickets[cell], arrays, counters):
                arena.set_note(cell, damage_to_note(damage))
        except FastclipsError as error:
            arena.set_note(cell, to_note(str(error)))
            arena.finish(cell, worker, False)
        except Exception as error:  # noqa: BLE001 - whatever it is, the trainer must hear of it
            traceback.print_exc()
            ticket = tickets[cell]
            arena.set_note(
                cell,
                to_note(
                    f"{type(error).__name__}: {error} (video {ticket['video']}, frames from "
                    f"{ticket['frames'][0]}; the traceback is on standard error)"
                ),
            )
            arena.finish(cell, worker, False)
        else:
            arena.finish(cell, worker, True)

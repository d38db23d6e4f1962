"""The actor that renders tickets on a host.

Ray calls its methods in several threads. One thread of its own has the engine: it submits what was asked, in
the trainer's order and as far ahead as the engine goes, and collects the oldest batch. A method waits for its
batch and returns it; Ray then copies it into its object store while the engine goes on.
"""

from __future__ import annotations

import heapq
import threading
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from fastclips.adapters.ray.host import Answer, Host
from fastclips.engine.engines import new_engine
from fastclips.engine.rendering import clip_name
from fastclips.errors import EngineError, FrameError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fastclips.engine.clip_spec import ClipSpec
    from fastclips.engine.contract import Batch, Engine

__all__ = ["DecodingHost", "Rendered"]


class Rendered(NamedTuple):
    """A batch.

    Parameters
    ----------
    arrays : dict of str to ndarray
        As of `Engine.collect`.
    notes : list of (bytes, bytes)
        Tickets with damaged frames, and notes of the damage, as of `Engine.notes`.
    """

    arrays: dict[str, NDArray[Any]]
    notes: list[tuple[bytes, bytes]]


class _Request:
    """A call that waits for its batch."""

    def __init__(self, number: int, round_: int, tickets: NDArray[np.void]) -> None:
        self.number, self.round, self.tickets = number, round_, tickets
        self.answer: Answer | None = None
        self.answered = threading.Event()

    def give(self, answer: Answer | None) -> None:
        """Let the call return."""
        self.answer = answer
        self.answered.set()

    def __lt__(self, other: _Request) -> bool:
        return self.number < other.number


class DecodingHost(Host):
    """Renders tickets with an engine of its own; its options are those of `new_engine`, without ``name``."""

    def _begin(self, value: ClipSpec) -> None:
        self._inbox: list[_Request] = []
        self._round = 0  # older requests are withdrawn
        self._changed = threading.Condition()
        names = [stream.name for stream in value.streams]

        def where(stream: int, video: int, frame: int) -> str:
            return value.storage.where(names[stream], video, frame)

        name = partial(clip_name, where, time_steps=value.time_steps)
        engine = new_engine(value, name=name, **self._options)
        threading.Thread(target=self._serve, args=[engine], daemon=True, name="fastclips").start()

    def do(self, number: int, round_: int, work: NDArray[np.void]) -> Answer | None:
        """Return the batch of some tickets, as `Rendered`."""
        request = _Request(number, round_, work.copy())  # Ray's arrays are read-only
        with self._changed:
            heapq.heappush(self._inbox, request)
            self._changed.notify()
        request.answered.wait()
        return request.answer

    def forget(self, round_: int) -> None:
        """Withdraw all requests of earlier rounds."""
        with self._changed:
            self._round = max(self._round, round_)
            self._changed.notify()

    def _serve(self, engine: Engine) -> None:
        given: deque[tuple[_Request, Batch]] = deque()  # to the engine, not collected yet
        broken: Exception | None = None
        while True:
            with self._changed:
                while not self._inbox and not given:
                    self._changed.wait()
            try:
                self._withdraw(engine, given)
                while not given or engine.has_room():
                    request = self._pop()
                    if request is None:
                        break
                    if broken is not None:
                        request.give(_failed(engine, broken))
                    elif request.round < self._round:
                        request.give(None)
                    else:
                        given.append((request, engine.submit(request.tickets)))
                if given:
                    given[0][0].give(_collected(engine, given[0][1]))
                    given.popleft()
            except Exception as error:  # noqa: BLE001 - of the engine, which does not work any more
                text = f"{type(error).__name__}: {error}"
                broken = error if isinstance(error, EngineError) else EngineError(text)
                for request, _ in given:
                    request.give(_failed(engine, broken))
                given.clear()

    def _pop(self) -> _Request | None:
        with self._changed:
            return heapq.heappop(self._inbox) if self._inbox else None

    def _withdraw(self, engine: Engine, given: deque[tuple[_Request, Batch]]) -> None:
        """Withdraw what was given to the engine, if some of it is of an earlier round."""
        if not given or given[0][0].round >= self._round:
            return
        engine.forget()
        while given:
            request, _ = given.popleft()
            if request.round < self._round:
                request.give(None)
            else:
                with self._changed:
                    heapq.heappush(self._inbox, request)


def _collected(engine: Engine, batch: Batch) -> Answer:
    """Return a batch, or the error of a bad frame in its place."""
    try:
        arrays = engine.collect(batch)
    except FrameError as error:
        return _failed(engine, error)
    notes = [(ticket.tobytes(), note) for ticket, note in engine.notes]
    engine.notes.clear()
    totals = engine.counters.sum(axis=0)
    return Answer(Rendered(arrays, notes), counters=totals, deaths=tuple(engine.deaths()))


def _failed(engine: Engine, error: Exception) -> Answer:
    return Answer(error=error, broken=isinstance(error, EngineError), counters=engine.counters.sum(axis=0))

"""The actor that renders tickets on a host.

Ray calls its methods in several threads. One thread of its own has the engine: it submits what was asked, in
the trainer's order and as far ahead as the engine goes, and collects the oldest batch. A method waits for its
batch and returns it; Ray then copies it into its object store while the engine goes on.
"""

from __future__ import annotations

import heapq
import os
import pickle
import socket
import threading
from collections import deque
from functools import partial
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import ray

from fastclips.data.storage import opened
from fastclips.data.video_storage import VideoStorage
from fastclips.engine.engines import new_engine
from fastclips.engine.rendering import clip_name
from fastclips.errors import EngineError, FrameError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fastclips.data.storage import Storage
    from fastclips.engine.arena import Death
    from fastclips.engine.clip_spec import ClipSpec
    from fastclips.engine.contract import Batch, Engine

__all__ = ["Answer", "Hello", "Host", "Place", "content_of"]

Place = tuple[str, int, int]
"""Stream, video and frame in the numbers of the storage."""


class Hello(NamedTuple):
    """How a host reports that it has started.

    Parameters
    ----------
    name : str
        Name of the machine, and its address.
    node : str
        Ray's id of the node.
    pid : int
        Of the actor.
    wrong : str
        How its data differ from the trainer's; empty if they do not.
    """

    name: str
    node: str
    pid: int
    wrong: str = ""


class Answer(NamedTuple):
    """A batch, and what a host tells beside it.

    Parameters
    ----------
    arrays : dict of str to ndarray
        The batch.
    notes : list of (bytes, bytes)
        Tickets with damaged frames, and notes of the damage, as of `Engine.notes`.
    counters : ndarray of float64, (counters,)
        Totals of the host's workers so far.
    deaths : list of Death
        All deaths of its workers so far.
    error : Exception, optional
        Why there is no batch.
    """

    arrays: dict[str, NDArray[Any]]
    notes: list[tuple[bytes, bytes]]
    counters: NDArray[np.float64]
    deaths: list[Death]
    error: Exception | None = None


class _Request:
    def __init__(self, number: int, round_: int, tickets: NDArray[np.void]) -> None:
        self.number, self.round, self.tickets = number, round_, tickets
        self.answer: Answer | None = None
        self.answered = threading.Event()

    def give(self, answer: Answer | None) -> None:
        """Let the waiting method return."""
        self.answer = answer
        self.answered.set()

    def __lt__(self, other: _Request) -> bool:
        return self.number < other.number


class Host:
    """The actor.

    Parameters
    ----------
    spec : ndarray of uint8
        The pickled `ClipSpec`.
    options : dict
        Keyword arguments of `new_engine`, without `name`.
    """

    def __init__(self, spec: NDArray[np.uint8], options: dict[str, Any]) -> None:
        self._pickled, self._options = spec, options
        self._inbox: list[_Request] = []
        self._round = 0  # older requests are withdrawn
        self._changed = threading.Condition()

    def start(self, trainer: str, places: Sequence[Place], contents: Sequence[str]) -> Hello:
        """Compare the data with the trainer's, and start the engine if they are the same.

        Parameters
        ----------
        trainer : str
            The trainer's version of fastclips.
        places : sequence of Place
            Frames to look at.
        contents : sequence of str
            What the trainer found there, as of `content_of`.
        """
        name, node = socket.gethostname(), ray.get_runtime_context().get_node_id()
        hello = Hello(f"{name} ({ray.util.get_node_ip_address()})", node, os.getpid())
        if version("fastclips") != trainer:
            versions = f"{version('fastclips')}, and the trainer {trainer}"
            raise EngineError(f"it has fastclips {versions}: install the same version on all hosts")
        spec: ClipSpec = pickle.loads(self._pickled.data)  # noqa: S301 - the trainer wrote it
        for place, content in zip(places, contents, strict=True):
            found = content_of(spec.storage, place)
            if found != content:
                where = spec.storage.where(*place)
                return hello._replace(wrong=f"{where!r} {_difference(content, found)}")
        names = [stream.name for stream in spec.streams]
        where_of = lambda stream, video, frame: spec.storage.where(names[stream], video, frame)  # noqa: E731
        engine = new_engine(
            spec, name=partial(clip_name, where_of, time_steps=spec.time_steps), **self._options
        )
        threading.Thread(target=self._serve, args=[engine], daemon=True, name="fastclips").start()
        return hello

    def render(self, number: int, round_: int, tickets: NDArray[np.void]) -> Answer | None:
        """Return the batch of some tickets; None if it was withdrawn.

        Parameters
        ----------
        number : int
            The place in the trainer's order.
        round_ : int
            As of `forget`.
        tickets : ndarray of void
            The tickets.
        """
        request = _Request(number, round_, tickets.copy())  # Ray's arrays are read-only
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
                broken = (
                    error
                    if isinstance(error, EngineError)
                    else EngineError(f"{type(error).__name__}: {error}")
                )
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
    return Answer(arrays, notes, engine.counters.sum(axis=0), list(engine.deaths()))


def _failed(engine: Engine, error: Exception) -> Answer:
    return Answer({}, [], engine.counters.sum(axis=0), [], error)


def content_of(storage: Storage, place: Place) -> str:
    """Return a digest of a frame, or ``!`` and why there is none; of a video file, a digest of its length."""
    try:
        if isinstance(storage, VideoStorage):
            data = str(Path(storage.path(place[1])).stat().st_size).encode()
        else:
            read = opened(storage).read(*place)
            data = (
                np.ascontiguousarray(read).tobytes() if isinstance(read, np.ndarray) else bytes(read or b"")
            )
    except (OSError, FrameError) as error:
        reason = error.reason if isinstance(error, FrameError) else error.strerror
        return f"!{reason}"
    return blake2b(data, digest_size=16).hexdigest()


def _difference(expected: str, found: str) -> str:
    if found.startswith("!"):
        return f"cannot be read there: {found[1:]}"
    if expected.startswith("!"):
        return f"can be read there, but not by the trainer: {expected[1:]}"
    return "has another content there"

"""What all actors have in common, on their side: how they greet the trainer, compare data, and answer."""

from __future__ import annotations

import os
import pickle
import socket
from abc import ABC, abstractmethod
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import ray

from fastclips.data.mixed_storage import part_of
from fastclips.data.storage import opened
from fastclips.data.video_storage import VideoStorage
from fastclips.errors import EngineError, FrameError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fastclips.data.storage import Storage
    from fastclips.engine.arena import Death

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
    """The answer to a request, and what a host tells beside it.

    Parameters
    ----------
    result : object
        What was asked for.
    error : Exception, optional
        Why there is none.
    broken : bool
        Whether the host will not answer any request any more.
    counters : ndarray of float64, (counters,), optional
        Totals of the host's workers so far.
    deaths : tuple of Death
        All deaths of its workers so far.
    """

    result: Any = None
    error: Exception | None = None
    broken: bool = False
    counters: NDArray[np.float64] | None = None
    deaths: tuple[Death, ...] = ()


class Host(ABC):
    """Base class of actors.

    Parameters
    ----------
    value : ndarray of uint8
        The pickled value that a host works with; it has a ``storage``.
    options : dict
        For the work of the class.
    """

    def __init__(self, value: NDArray[np.uint8], options: dict[str, Any]) -> None:
        self._pickled, self._options = value, options

    def start(self, trainer: str, places: Sequence[Place], contents: Sequence[str]) -> Hello:
        """Compare the data with the trainer's, and begin if they are the same.

        Parameters
        ----------
        trainer : str
            The trainer's version of fastclips.
        places : sequence of Place
            Frames to look at.
        contents : sequence of str
            What the trainer found there, as of `content_of`.
        """
        node = ray.get_runtime_context().get_node_id()
        hello = Hello(f"{socket.gethostname()} ({ray.util.get_node_ip_address()})", node, os.getpid())
        if version("fastclips") != trainer:
            versions = f"{version('fastclips')}, and the trainer {trainer}"
            raise EngineError(f"it has fastclips {versions}: install the same version on all hosts")
        value = pickle.loads(self._pickled.data)  # noqa: S301 - the trainer wrote it
        for place, content in zip(places, contents, strict=True):
            found = content_of(value.storage, place)
            if found != content:
                where = value.storage.where(*place)
                return hello._replace(wrong=f"{where!r} {_difference(content, found)}")
        self._begin(value)
        return hello

    @abstractmethod
    def _begin(self, value: Any) -> None:  # noqa: ANN401 - of the class
        """Take the value, once the data are known to be the right ones."""

    @abstractmethod
    def do(self, number: int, round_: int, work: Any) -> Answer | None:  # noqa: ANN401 - of the class
        """Answer a request; None if it was withdrawn.

        Parameters
        ----------
        number : int
            The place in the trainer's order.
        round_ : int
            As of `forget`.
        work : object
            What to do.
        """

    @abstractmethod
    def forget(self, round_: int) -> None:
        """Withdraw all requests of earlier rounds."""


def content_of(storage: Storage, place: Place) -> str:
    """Return a digest of a frame, or ``!`` and why there is none; of a video file, a digest of its length."""
    try:
        part, video = part_of(storage, place[1])
        if isinstance(part, VideoStorage):
            data = str(Path(part.path(video)).stat().st_size).encode()
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

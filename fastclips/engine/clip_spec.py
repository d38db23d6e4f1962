"""What a worker is started with to render clips: `ClipSpec`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.data.storage import SentStorage
from fastclips.engine.kept_frames import Segment, find_held
from fastclips.functions import from_script, to_worker
from fastclips.spec import ticket_dtype

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from fastclips._native import FrameSlots
    from fastclips.data.storage import Storage
    from fastclips.engine.kept_frames import KeptFrames
    from fastclips.pixels.recipe import Recipe
    from fastclips.pixels.steps.compiled import CompiledSteps
    from fastclips.spec import FrameLayout, SlotLayout, StreamSpec, Weighting

__all__ = ["ClipSpec"]

_PICKLED, _SENT = "_pickled_transforms", "_sent_storage"
_LAZY = ("recipe", "pixel_steps")  # one pickle, so that they share the pixel steps


@dataclass(frozen=True)
class ClipSpec:
    """All that turns a ticket into the row of a slot: a worker is started with it.

    Parameters
    ----------
    storage : Storage
        Where the bytes of frames come from.
    streams : tuple of StreamSpec
        What to decode, one field of `layout` each, in the same order.
    recipe : Recipe
        The geometry map, and where each transform's draws are.
    pixel_steps : mapping of str to CompiledSteps
        The pixel steps of each stream that has any.
    layout : SlotLayout
        Where the arrays of a batch lie.
    time_steps : int
        Frames in a clip.
    sizes : mapping of str to (int, int)
        Height and width that the geometry must give, of each stream.
    fast_dct : bool
        Whether JPEGs are decoded with the faster, less exact inverse DCT.
    weighting : Weighting, optional
        If given, `layout` ends with the field `WEIGHT`, float32, of the mask's shape.
    max_pixels : int
        Frames of more pixels are refused.
    repeats_damaged : bool
        Whether a frame that cannot be read or decoded is replaced by its neighbour, instead of an error.
    groups : mapping of str to str
        Group of each stream whose frames need not have the size of all others: see `FoundLayout.groups`.
    shared : FrameLayout, optional
        The streams whose decoded frames clips share in the arena, and the room for each.
    kept : KeptFrames, optional
        Where decoded frames are kept for all loaders of a `FrameCache`.
    ahead_bytes : int
        Bytes of a ticket that fetchers read ahead at most; 0 if none do.
    """

    storage: Storage
    streams: tuple[StreamSpec, ...]
    recipe: Recipe
    pixel_steps: Mapping[str, CompiledSteps]
    layout: SlotLayout
    time_steps: int
    sizes: Mapping[str, tuple[int, int]]
    fast_dct: bool
    weighting: Weighting | None = None
    repeats_damaged: bool = False
    max_pixels: int | None = None
    groups: Mapping[str, str] = field(default_factory=dict)
    shared: FrameLayout | None = None
    kept: KeptFrames | None = None
    ahead_bytes: int = 0

    def advise(self, tickets: NDArray[np.void], slots: FrameSlots) -> None:
        """Tell the storage which frames will be read soon, if it wants to know.

        Parameters
        ----------
        tickets : ndarray of void
            A batch.
        slots : FrameSlots
            Those of the arena. Frames that are in them, or in other frame slots, will not be read.
        """
        if not self.storage.needs_advice():
            return
        frames, read = self.to_read(tickets, slots)
        if not read.any():
            return
        for video, some, are_read in zip(tickets["video"].tolist(), frames, read, strict=True):
            wanted = some[are_read].tolist()
            for stream in self.streams if wanted else ():
                self.storage.advise(stream.name, video, wanted)

    def to_read(
        self, tickets: NDArray[np.void], slots: FrameSlots
    ) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        """Return the frames of tickets, and whether each is to be read: not those that are in frame slots.

        Parameters
        ----------
        tickets, slots
            As for `advise`.

        Returns
        -------
        frames : ndarray of int32, (tickets, time steps)
        read : ndarray of bool, (tickets, time steps)
        """
        frames = tickets["frames"][:, : self.time_steps]
        shown = np.where(frames < 0, ~frames, frames)
        segments = self.kept.segments if self.kept else (Segment(slots, self.shared),) if self.shared else ()
        if not segments:
            return shown, np.ones(shown.shape, np.bool_)
        held = find_held(segments, tickets["video"], shown, tickets["slots"][:, : self.time_steps])
        return shown, ~held

    def __getstate__(self) -> dict[str, Any]:
        """Pickle what may hold users' code as bytes, which only workers unpickle, after the fork."""
        state = dict(self.__dict__)
        if "recipe" in state:
            state[_PICKLED] = to_worker(tuple(state.pop(name) for name in _LAZY), "transforms")
        if "storage" in state:
            state[_SENT] = SentStorage.of(state.pop("storage"))
        return state

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - called for missing attributes: what is pickled
        if name == "storage" and _SENT in self.__dict__:
            self.__dict__[name] = self.__dict__[_SENT].unpickled()
            return self.__dict__[name]
        if name not in _LAZY or _PICKLED not in self.__dict__:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        self.__dict__.update(zip(_LAZY, from_script(self.__dict__[_PICKLED], "transforms"), strict=True))
        return self.__dict__[name]

    @property
    def renderer(self) -> str:
        """Of tickets of one row, or of several."""
        several = self.layout.ticket_rows > 1
        return "fastclips.engine." + ("draws_renderer:DrawsRenderer" if several else "renderer:Renderer")

    @property
    def ticket_dtype(self) -> np.dtype[np.void]:
        """Of the tickets."""
        return ticket_dtype(self.time_steps, self.recipe.draws, self.layout.ticket_rows, shares=self.shares)

    @property
    def shares(self) -> bool:
        """Whether tickets name frame slots."""
        return self.shared is not None or self.kept is not None

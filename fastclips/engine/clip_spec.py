"""What a worker is started with to render clips: `ClipSpec`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastclips.data.storage import Storage
from fastclips.functions import from_script, to_worker
from fastclips.spec import ticket_dtype

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastclips.pixels.recipe import Recipe
    from fastclips.spec import SlotLayout, Stream, Weighting

__all__ = ["ClipSpec"]

_PICKLED = "_pickled_recipe"


@dataclass(frozen=True)
class ClipSpec:
    """All that is needed to turn a ticket into the row of a slot; what a worker is started with.

    Parameters
    ----------
    storage : Storage
        Where the bytes of frames come from.
    streams : tuple of Stream
        What to decode, one field of `layout` each, in the same order.
    recipe : Recipe
        What to do with it.
    layout : SlotLayout
        Where to put it.
    time_steps : int
        Frames in a clip.
    fast_dct : bool
        Whether JPEGs are decoded with the faster, slightly less exact inverse DCT.
    weighting : Weighting, optional
        Where given, `layout` ends with the field `WEIGHT`, of the mask's shape and float32.
    repeats_damaged : bool
        Whether a frame that cannot be read or decoded is replaced by its neighbour, instead of an error.
    """

    storage: Storage
    streams: tuple[Stream, ...]
    recipe: Recipe
    layout: SlotLayout
    time_steps: int
    fast_dct: bool
    weighting: Weighting | None = None
    repeats_damaged: bool = False
    renderer: ClassVar[str] = "fastclips.engine.renderer:Renderer"

    def advise(self, tickets: NDArray[np.void]) -> None:
        """Tell the storage which frames will be read soon, if it wants to know."""
        if type(self.storage).advise is Storage.advise:
            return
        frames = tickets["frames"][:, : self.time_steps]
        shown = np.where(frames < 0, ~frames, frames).tolist()
        for video, some in zip(tickets["video"].tolist(), shown, strict=True):
            for stream in self.streams:
                self.storage.advise(stream.name, video, some)

    def __getstate__(self) -> dict[str, Any]:
        """Let the recipe travel as bytes, which nobody unpickles but who asks for it: workers alone."""
        state = dict(self.__dict__)
        if "recipe" in state:
            state[_PICKLED] = to_worker(state.pop("recipe"), "transforms")
        return state

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - called for what is missing: a pickled recipe
        if name != "recipe" or _PICKLED not in self.__dict__:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        self.__dict__[name] = from_script(self.__dict__[_PICKLED], "transforms")
        return self.__dict__[name]

    @property
    def ticket_dtype(self) -> np.dtype[np.void]:
        """Of the tickets."""
        return ticket_dtype(self.time_steps, self.recipe.draws)

"""The schedule of a `ClipLoader`: planned clips become tickets and the small arrays of a batch.

::

    Plan.clips --------> tickets       video and frames in the storage's numbers: for workers
               --------> known arrays  labels, valid time steps, weights: straight into the batch
"""

from __future__ import annotations

from functools import cached_property
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.reserved import WEIGHT
from fastclips.serving.schedule import Planned
from fastclips.serving.state import Identity
from fastclips.spec import ticket_dtype

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from fastclips.data.dataset import Dataset
    from fastclips.planning.plan import Plan, PlannedClips
    from fastclips.serving.outputs import Outputs

__all__ = ["ClipSchedule"]


class ClipSchedule:
    """A plan over the videos of a dataset, and the contents of its batches.

    Parameters
    ----------
    plan : Plan
        The clips; its videos are the rows of the index.
    dataset : Dataset
        Index and storage of the videos.
    outputs : Outputs
        The structure of a batch.
    parts : callable
        Returns the parts of the loader's state.
    shares : bool
        Whether tickets name frame slots.
    """

    def __init__(
        self,
        plan: Plan,
        dataset: Dataset,
        outputs: Outputs,
        parts: Callable[[], Mapping[str, Any]],
        *,
        shares: bool = False,
    ) -> None:
        self._plan, self._dataset, self._outputs = plan, dataset, outputs
        self._parts = parts
        self._dtype = ticket_dtype(plan.sampler.time_steps, plan.draws, plan.draws_per_clip, shares=shares)
        self._shares = shares

    @property
    def time_steps(self) -> int:
        """Frames in a clip."""
        return self._plan.sampler.time_steps

    def batches_in(self, epoch: int) -> int:
        """Return the number of batches in an epoch; a resumed one has fewer."""
        return self._plan.batches(epoch)

    def position(self, epoch: int, batch: int) -> int:
        """Return the number of clips of an epoch that all ranks have served before a batch."""
        return self._plan.start(epoch) + batch * self._plan.batch_size * self._plan.world

    def resume(self, epoch: int, position: int) -> None:
        """Begin the batches of an epoch at a position, and those of all other epochs at 0."""
        self._plan.resume(epoch, position)

    @cached_property
    def identity(self) -> Identity:
        """What decides the batches."""
        return Identity(self._plan.batch_size, self._plan.world, self._parts(), self._fingerprint())

    def _fingerprint(self) -> str:
        """Return 16 hex digits over the plan's fingerprint, and the videos' names and first frames.

        States of 0.1.0 hold them.
        """
        index = self._dataset.index
        digest = blake2b(self._plan.fingerprint.encode() + index.names.digest(), digest_size=8)
        digest.update(index.starts.tobytes())
        return digest.hexdigest()

    def run(self, epoch: int, batch: int, most: int) -> Iterator[Planned]:
        """Yield up to `most` consecutive batches, fewer if the epoch ends."""
        clips = self._plan.clips(epoch, batch, most)
        tickets = self._tickets(clips)
        size, each = self._plan.batch_size, self._plan.draws_per_clip
        for first in range(0, len(clips.video), size):
            rows, own = slice(first, first + size), slice(first // each, (first + size) // each)
            known = self._outputs.known(
                clips.video[rows], clips.frames[rows], clips.padding[rows], clips.draws[rows]
            )
            if self._outputs.weighting is not None:
                weights = tickets["weight"][own]
                weights[...] = known[WEIGHT].reshape(weights.shape)
            yield Planned(tickets[own], known)

    def tickets(self, epoch: int, batch: int, most: int) -> NDArray[np.void]:
        """Return the tickets of up to `most` consecutive batches, fewer if the epoch ends; no weights."""
        return self._tickets(self._plan.clips(epoch, batch, most))

    def _tickets(self, clips: PlannedClips) -> NDArray[np.void]:
        """Return tickets of clips, with the storage's own numbers of videos and frames.

        A ticket has all rows of a clip with `draws_per_clip`.
        """
        index, each = self._dataset.index, self._plan.draws_per_clip
        video, frames = clips.video[::each], clips.frames[::each]
        starts = index.starts[video][:, None].astype(np.int32)
        tickets = np.zeros(len(video), self._dtype)
        tickets["epoch"] = clips.epoch
        tickets["position"] = clips.position[::each]
        tickets["video"] = index.keys[video]
        tickets["view"] = clips.view[::each]
        tickets["weight"] = (~clips.padding).reshape(tickets["weight"].shape)
        tickets["draws"] = clips.draws.reshape(tickets["draws"].shape)
        # A marked frame is moved the other way, since ~(frame + start) equals ~frame - start.
        tickets["frames"][:, : self.time_steps] = np.where(frames < 0, frames - starts, frames + starts)
        if self._shares:
            tickets["slots"] = -1
        return tickets

    def assemble(self, arrays: Mapping[str, NDArray[Any]]) -> Any:  # noqa: ANN401 - the user's choice
        """Return ``x``, ``(x, y)`` or ``(x, y, weight)``."""
        return self._outputs.assemble(arrays)

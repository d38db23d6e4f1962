"""The plan: a pure function of (seed, epoch, rank) that says which clip comes when.

::

    videos --sampler--> clips --views, order--> positions 0 1 2 ... --`cut`--> batches of this rank

A recipe with several views of a clip (such as three crops) makes each view a clip of its own. The views of
a clip are neighbours before shuffling.

A clip's *position* is its place in the epoch, over all ranks. Every draw of a clip is keyed by it, so it does
not depend on the batch size, the world or the number of workers: see `fastclips.planning.cut`. To resume is
to ask for a later batch, or, where the epoch was cut otherwise before, to cut it anew from a position on
(`Plan.resume`). Beside that, a plan keeps no state but caches.

With ``weights`` an epoch is no permutation: each position draws its clip, with replacement, so that a clip of
weight 2 comes twice as often as a clip of weight 1. The epoch has as many clips as without weights.

With ``interleave`` the order is that of `fastclips.planning.lanes`. A mix with shares has the order of
`fastclips.planning.shares`.

With ``draws_per_clip=n`` each clip has n consecutive positions, a *group*, whose rows differ in the draws for
transforms alone. Order, weights, frame choices and padding are those of groups, as if n were 1.

Draws for transforms are keyed by the position, or by the video where a transform keeps them along a video.

Eight clips (one video of 16 frames, 2 frames each), read by two ranks, 3 clips a batch:

>>> import numpy as np
>>> from fastclips.planning.samplers import Windows
>>> ranks = [Plan([16], Windows(2), draws=0, batch_size=3, rank=rank, world=2) for rank in (0, 1)]
>>> for plan in ranks:
...     print([plan.clips(0, batch).position.tolist() for batch in range(len(plan))])
[[0, 1, 2], [6]]
[[3, 4, 5], [7]]
"""

from __future__ import annotations

import logging
from functools import cached_property
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastclips.errors import OptionError
from fastclips.options import checked_bool, checked_int
from fastclips.planning.clips import ClipSampler, Videos, list_frames
from fastclips.planning.cut import Cut
from fastclips.planning.draws import Draws, Purpose
from fastclips.planning.epochs import OneOrder
from fastclips.planning.launchers import checked_rank
from fastclips.planning.per_set import PerSet
from fastclips.planning.shares import MixedEpochs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import ArrayLike, NDArray

    from fastclips.data.sets import Sets
    from fastclips.planning.choices import FrameChoice
    from fastclips.planning.clips import Clips

__all__ = ["Plan", "PlannedClips"]

_log = logging.getLogger(__name__)
_BLOCK = 2**16  # clips whose frames are listed at a time, to bound memory


class PlannedClips(NamedTuple):
    """Clips of one epoch in served order, as columns.

    Parameters
    ----------
    epoch : int
        The epoch.
    position : ndarray of int64, (n,)
        Place in the epoch, over all ranks. Padding has positions of its own, beyond the clips.
    video : ndarray of int64, (n,)
        Row of the plan's `Videos`.
    view : ndarray of int64, (n,)
        The recipe's view.
    draws : ndarray of float64, (n, draws)
        Numbers in [0, 1) for the recipe.
    frames : ndarray of int32, (n, time_steps)
        Frames within the video, ``~frame`` (below 0) where a frame is repeated as padding.
    padding : ndarray of bool, (n,)
        Whether the clip only fills the batch.
    """

    epoch: int
    position: NDArray[np.int64]
    video: NDArray[np.int64]
    view: NDArray[np.int64]
    draws: NDArray[np.float64]
    frames: NDArray[np.int32]
    padding: NDArray[np.bool_]


class Plan:
    """The clips that a rank reads in every epoch, in order and cut into batches.

    Parameters
    ----------
    videos : Videos or array_like of int, (V,)
        The videos, or their frame counts alone.
    sampler : ClipSampler
        Cuts videos into clips.
    draws : int
        Numbers in [0, 1) that the recipe uses per clip.
    batch_size : int
        Clips in a batch of this rank.
    by_video : sequence of int
        Which of these numbers are the same for all clips of a video in an epoch.
    views : int
        Views of each clip that the recipe makes.
    weights : array_like of float, (V,), optional
        Relative chance of each video's clips to be drawn; 0 is never. Needs `shuffle`.
    shares : Sets, optional
        The sets of a mix and their shares. Needs `shuffle`, and a `PerSet` as `sampler`.
    choices : iterable of FrameChoice
        Changes to the frames of each clip, in order.
    shuffle : bool
        Whether each epoch has a random order; otherwise clips come in the sampler's order.
    interleave : int, optional
        Number of lanes: see `fastclips.planning.lanes`. Not with `weights` or `shares`.
    draws_per_clip : int
        Rows of each clip, each with draws of its own; divides `batch_size`.
    drop_last : bool
        Whether an incomplete global batch at the end of an epoch is left out.
    seed : int
        At least 0 and below 2**64. Different seeds give unrelated plans.
    rank, world : int
        This rank, and the number of ranks.

    Attributes
    ----------
    clips_per_epoch : int
        Clips of all ranks, each view and each draw counted, before padding and `drop_last`.
    rows_per_epoch : int
        Clips in all batches of this rank in a whole epoch, padding included.

    Raises
    ------
    OptionError
        If an argument is out of range, no video gives a clip, the sampler refuses the videos, or no batch
        is left.
    """

    def __init__(
        self,
        videos: Videos | ArrayLike,
        sampler: ClipSampler,
        *,
        draws: int,
        batch_size: int,
        by_video: Sequence[int] = (),
        views: int = 1,
        weights: ArrayLike | None = None,
        shares: Sets | None = None,
        choices: Iterable[FrameChoice] = (),
        shuffle: bool = False,
        interleave: int | None = None,
        draws_per_clip: int = 1,
        drop_last: bool = False,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.videos = videos if isinstance(videos, Videos) else Videos(np.asarray(videos))
        self.sampler = sampler
        self.draws = checked_int(draws, "draws", 0)
        self.batch_size = checked_int(batch_size, "batch_size", 1)
        self._by_video = [*by_video]
        self.views = checked_int(views, "views", 1)
        self.draws_per_clip = checked_int(draws_per_clip, "draws_per_clip", 1)
        if left := self.batch_size % self.draws_per_clip:
            raise OptionError(
                f"draws_per_clip={self.draws_per_clip}: must divide batch_size={self.batch_size}, since all "
                "draws of a clip are in one batch; give "
                f"batch_size={self.batch_size - left + self.draws_per_clip}"
            )
        self.choices = tuple(choices)
        self.shuffle = checked_bool(shuffle, "shuffle")
        self.drop_last = checked_bool(drop_last, "drop_last")
        self.seed = checked_int(seed, "seed", 0, 2**64)
        self.world = checked_int(world, "world", 1)
        self.rank = checked_rank(rank, self.world)

        self._epochs: OneOrder | MixedEpochs
        if shares is not None:
            self._epochs = self._mixed(shares, interleave, weights)
        else:
            self._epochs = OneOrder(
                self.videos,
                sampler,
                views=self.views,
                shuffle=self.shuffle,
                seed=self.seed,
                interleave=interleave,
                weights=weights,
            )
        self._groups = self._epochs.groups
        self.clips_per_epoch = self._groups * self.draws_per_clip
        self._report_short()
        self._cut = Cut(
            self.clips_per_epoch, self.draws_per_clip, self.batch_size, self.world, self.drop_last
        ).checked()
        self.rows_per_epoch = self._cut.rows
        self._resumed = (-1, self._cut)  # an epoch, and its cut

    def _mixed(self, shares: Sets, interleave: object, weights: object) -> MixedEpochs:
        """Return the epochs of a mix with shares; raise OptionError if they do not go with other options."""
        if not self.shuffle:
            raise OptionError(
                "shuffle=False: must be True with the shares of a mix, each of which is a part of a shuffled "
                "set; pass shuffle=True, or, to serve each clip once, in order, fc.mix(dataset.sets)"
            )
        for knob, value in (("weights", weights), ("interleave", interleave)):
            if value is not None:
                raise OptionError(
                    f"{knob}= must be None with the shares of a mix, which decide when clips of each set "
                    f"come; leave out {knob}=, or use fc.mix(dataset.sets), which has no shares"
                )
        assert isinstance(self.sampler, PerSet)  # noqa: S101 - as `checked_sampler` returns for shares
        return MixedEpochs(self.videos, self.sampler, shares, views=self.views, seed=self.seed)

    @property
    def interleave(self) -> int | None:
        """Number of lanes."""
        return self._epochs.interleave if isinstance(self._epochs, OneOrder) else None

    @property
    def weights(self) -> NDArray[np.float64] | None:
        """Weights of the videos, scaled to a maximum of 1."""
        return self._epochs.weights if isinstance(self._epochs, OneOrder) else None

    @property
    def epochs(self) -> int:
        """In so many epochs every clip comes once; of a mix with shares, also more than once."""
        return self._epochs.epochs if isinstance(self._epochs, MixedEpochs) else 1

    @property
    def shares(self) -> list[int] | None:
        """Clips of each set of a mix with shares in an epoch, views counted and draws not; else None."""
        return self._epochs.counts if isinstance(self._epochs, MixedEpochs) else None

    def __len__(self) -> int:
        """Batches in a whole epoch, the same for each rank."""
        return self._cut.batches

    def batches(self, epoch: int) -> int:
        """Return the number of batches in an epoch, the same for each rank: fewer in a resumed one."""
        return self._cut_of(epoch).batches

    def start(self, epoch: int) -> int:
        """Return the first position in the batches of an epoch: 0 but in a resumed one."""
        return self._cut_of(epoch).start

    def resume(self, epoch: int, position: int) -> None:
        """Cut an epoch into batches from a position on, and all others from 0.

        Parameters
        ----------
        epoch : int
            At least 0.
        position : int
            The position that its batch 0 begins with; 0 ends the effect of an earlier call.

        Raises
        ------
        OptionError
            If there is no such epoch or position, or it is within the draws of a clip.
        """
        self._resumed = (_checked_epoch(epoch), self._cut.begun_at(position))

    def _cut_of(self, epoch: int) -> Cut:
        resumed, cut = self._resumed
        return cut if epoch == resumed else self._cut

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits over everything that decides which clips batch b of epoch e holds.

        The names of videos are left out, and so is the rank: one saved state serves every rank.
        """
        knobs = (
            self.sampler,
            self.batch_size,
            self.views,
            self.shuffle,
            self.drop_last,
            self.seed,
            self.world,
            *self.choices,
        )
        digest = blake2b(f"plan 2 {knobs!r}".encode(), digest_size=8)
        digest.update(self.videos.frame_counts.astype("<i8").tobytes())
        if self.interleave is not None:
            digest.update(f"lanes 1 {self.interleave}".encode())
        if self.draws_per_clip > 1:
            digest.update(f"draws_per_clip {self.draws_per_clip}".encode())
        if self.shares is not None:
            digest.update(f"shares 1 {self.shares}".encode())
        for name, column in (("fps", self.videos.fps), ("weights", self.weights)):
            if column is not None:
                digest.update(name.encode() + column.astype("<f8").tobytes())
        return digest.hexdigest()

    def clips(self, epoch: int, batch: int, batches: int = 1) -> PlannedClips:
        """Return the clips of consecutive batches.

        Several batches at once cost little more than one.

        Parameters
        ----------
        epoch : int
            At least 0.
        batch : int
            The first batch, at least 0 and below ``plan.batches(epoch)``.
        batches : int
            How many, at least 1; fewer if the epoch ends before.

        Returns
        -------
        PlannedClips
            `batch_size` clips for each batch; the last batch of an epoch may have fewer.

        Raises
        ------
        OptionError
            If there is no such epoch or batch.
        """
        epoch = _checked_epoch(epoch)
        cut = self._cut_of(epoch)
        batch = checked_int(batch, "batch", 0, cut.batches)
        end = min((batch + batches) * self.batch_size, cut.rows)
        positions = cut.positions(batch * self.batch_size, end, self.rank)
        groups = positions[:: self.draws_per_clip] // self.draws_per_clip
        clips, view = self._epochs.at(epoch, groups)
        video = self._by_row(clips.video)
        return PlannedClips(
            epoch,
            positions,
            video,
            self._by_row(view),
            self.recipe_draws(epoch, positions, video, self.draws),
            self._by_row(self._frames(epoch, groups, clips)),
            positions >= self.clips_per_epoch,
        )

    def _by_row(self, column: NDArray[Any]) -> NDArray[Any]:
        """Return a column with one entry for each group as one with an entry for each row."""
        return column if self.draws_per_clip == 1 else np.repeat(column, self.draws_per_clip, axis=0)

    def recipe_draws(
        self, epoch: int, positions: NDArray[np.int64], videos: NDArray[np.int64], columns: int
    ) -> NDArray[np.float64]:
        """Return the first draws of clips for the recipe.

        Parameters
        ----------
        epoch : int
            At least 0.
        positions : ndarray of int64, (n,)
            Positions of the clips.
        videos : ndarray of int64, (n,)
            Their videos.
        columns : int
            Draws of each clip.

        Returns
        -------
        ndarray of float64, (n, columns)
            Numbers in [0, 1).

        Raises
        ------
        OptionError
            If there is no such epoch.
        """
        draws = Draws(self.seed, _checked_epoch(epoch))
        units = draws.units_at(Purpose.RECIPE, positions, columns)
        kept = [column for column in self._by_video if column < columns]
        if kept:
            shown, video_of = np.unique(videos, return_inverse=True)
            units[:, kept] = draws.units_at(Purpose.VIDEO, shown, columns)[:, kept][video_of]
        return units

    def table(self, epoch: int, rank: int | None = None) -> dict[str, NDArray[Any]]:
        """Return all clips of a rank in an epoch, or in the rest of a resumed one, in served order.

        Parameters
        ----------
        epoch : int
            At least 0.
        rank : int, optional
            Another rank than this one.

        Returns
        -------
        dict of str to ndarray, (rows,)
            ``position``, ``video``, ``start`` (the first frame shown) and ``view``, int64, and ``padding``,
            bool. ``view`` numbers the sampler's and the recipe's views together:
            ``sampler's * views + recipe's``.

        Raises
        ------
        OptionError
            If there is no such epoch or rank.
        """
        positions, groups, clips, view = self._served(epoch, rank)
        start = np.empty(len(clips), np.int64)
        for first, frames in self._blocks(epoch, groups, clips):
            start[first : first + _BLOCK] = np.where(frames[:, 0] < 0, ~frames[:, 0], frames[:, 0])
        return {
            "position": positions,
            "video": self._by_row(clips.video),
            "start": self._by_row(start),
            "view": self._by_row(clips.view * self.views + view),
            "padding": positions >= self.clips_per_epoch,
        }

    def frames(self, epoch: int, rank: int | None = None) -> NDArray[np.int32]:
        """Return the frames of the clips of `table`.

        Parameters
        ----------
        epoch : int
            At least 0.
        rank : int, optional
            Another rank than this one.

        Returns
        -------
        ndarray of int32, (rows, time_steps)
            Frames as in `PlannedClips`.

        Raises
        ------
        OptionError
            If there is no such epoch or rank.
        """
        _, groups, clips, _ = self._served(epoch, rank)
        out = np.empty((len(clips), self.sampler.time_steps), np.int32)
        for first, frames in self._blocks(epoch, groups, clips):
            out[first : first + _BLOCK] = frames
        return self._by_row(out)

    def _blocks(
        self, epoch: int, groups: NDArray[np.int64], clips: Clips
    ) -> Iterator[tuple[int, NDArray[np.int32]]]:
        """Yield (first row, frames) of blocks of clips."""
        for first in range(0, len(clips), _BLOCK):
            block = clips.rows(np.arange(first, min(first + _BLOCK, len(clips))))
            yield first, self._frames(epoch, groups[first : first + _BLOCK], block)

    def _frames(self, epoch: int, groups: NDArray[np.int64], clips: Clips) -> NDArray[np.int32]:
        """Return the frames of clips as in `PlannedClips`."""
        frames = list_frames(self.sampler, clips, self.videos)
        if self.choices:
            draws = [choice.choice_draws(frames.shape[1]) for choice in self.choices]
            units = Draws(self.seed, epoch).units_at(Purpose.FRAMES, groups, sum(draws))
            counts = self.videos.frame_counts[clips.video]
            columns = np.split(units, np.cumsum(draws)[:-1], axis=1)
            for choice, choice_units in zip(self.choices, columns, strict=True):
                frames = choice.choose(frames, choice_units, counts)
        return frames

    def _served(
        self, epoch: int, rank: int | None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], Clips, NDArray[np.int64]]:
        """Return the positions of a rank's rows, and its groups with the clip and view of each."""
        rank = self.rank if rank is None else checked_rank(rank, self.world)
        cut = self._cut_of(_checked_epoch(epoch))
        positions = cut.positions(0, cut.rows, rank)
        groups = positions[:: self.draws_per_clip] // self.draws_per_clip
        return positions, groups, *self._epochs.at(epoch, groups)

    def _report_short(self) -> None:
        shortage = self.sampler.shortage(self.videos)
        if self.clips_per_epoch == 0:
            details = f" ({shortage})" if shortage else ""
            sampler = self.sampler.given if isinstance(self.sampler, PerSet) else self.sampler
            raise OptionError(
                f"no video gives a clip of {sampler!r}: the longest of {len(self.videos)} has "
                f"{self.videos.frame_counts.max()} frames{details}; "
                'ask for fewer frames, or pass short="pad"'
            )
        if shortage and self.rank == 0:
            _log.warning("%s", shortage)


def _checked_epoch(epoch: object) -> int:
    return checked_int(epoch, "epoch", 0, 2**63)

"""The plan: a pure function of (seed, epoch, rank) that says which clip comes when.

::

    frame counts --sampler--> clips --order--> positions 0 1 2 ... --cut--> batches of this rank

A clip's *position* is its place in the epoch, over all ranks. ``world * batch_size`` consecutive positions
are a global batch, and each rank takes its run of ``batch_size`` of them. Everything that is drawn for a clip
is keyed by its position, so it is the same whatever the batch size, the world or the number of workers.
Nothing is remembered between calls but caches: to resume is to ask for a later batch.

The end of an epoch. With ``drop_last`` an incomplete global batch is left out. Otherwise positions go on
until the world divides their number, and those beyond the last clip show the first ones again, marked as
padding: fewer than ``world``, none on a single rank. What is then left for the last batch is shared equally.
So ranks always have equal numbers of batches of equal sizes.

Eight clips (one video of 16 frames, 2 frames each), read by two ranks, 3 clips a batch:

>>> import numpy as np
>>> from fastclips.samplers import Windows
>>> ranks = [Plan([16], Windows(2), draws=0, batch_size=3, rank=rank, world=2) for rank in (0, 1)]
>>> for plan in ranks:
...     print([plan.tickets(0, batch)[0]["position"].tolist() for batch in range(len(plan))])
[[0, 1, 2], [6]]
[[3, 4, 5], [7]]

A ninth clip needs a tenth position; rank 1 gets it, as the first clip once more:

>>> nine = Plan([18], Windows(2), draws=0, batch_size=3, rank=1, world=2)
>>> tickets, padding = nine.tickets(0, 1)
>>> tickets["position"].tolist(), tickets["frames"].tolist(), padding.tolist()
([8, 9], [[16, 17], [0, 1]], [False, True])
"""

from __future__ import annotations

import json
import logging
import os
from functools import cached_property
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fastclips.errors import OptionError
from fastclips.options import checked_bool, checked_int
from fastclips.samplers import Clips, ClipSampler, Draws, Purpose
from fastclips.spec import ticket_dtype

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray

__all__ = ["Plan", "resolve_rank"]

_log = logging.getLogger(__name__)


class Plan:
    """Which clips a rank reads, in which order and in which batches, in every epoch.

    Parameters
    ----------
    frame_counts : array_like of int, (V,)
        Frames of each video.
    sampler : ClipSampler
        How videos are cut into clips.
    draws : int
        Numbers in [0, 1) that each ticket carries for the recipe.
    batch_size : int
        Clips in a batch of this rank.
    shuffle : bool
        Whether each epoch is a permutation of its own; otherwise clips come in the sampler's order.
    drop_last : bool
        Whether an incomplete global batch at the end of an epoch is left out.
    seed : int
        At least 0 and below 2**64. Plans that differ in nothing else are unrelated.
    rank, world : int
        Which of how many equal parts of an epoch this is.

    Attributes
    ----------
    clips_per_epoch : int
        Clips of all ranks together, padding not counted, nothing dropped.
    rows_per_epoch : int
        Rows of all batches of this rank in an epoch, padding included.
    ticket_dtype : numpy.dtype
        Of the tickets.

    Raises
    ------
    OptionError
        If an argument is out of range, no video is long enough, or no batch is left.
    """

    def __init__(
        self,
        frame_counts: ArrayLike,
        sampler: ClipSampler,
        *,
        draws: int,
        batch_size: int,
        shuffle: bool = False,
        drop_last: bool = False,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.frame_counts = _checked_counts(frame_counts)
        self.sampler = sampler
        self.draws = checked_int(draws, "draws", 0)
        self.batch_size = checked_int(batch_size, "batch_size", 1)
        self.shuffle = checked_bool(shuffle, "shuffle")
        self.drop_last = checked_bool(drop_last, "drop_last")
        self.seed = checked_int(seed, "seed", 0, 2**64)
        self.world = checked_int(world, "world", 1)
        self.rank = _checked_rank(rank, self.world)
        self.ticket_dtype = ticket_dtype(sampler.time_steps, self.draws)

        self._recent: tuple[tuple[int, Clips, NDArray[np.int64] | None], ...] = ()
        self._clips = sampler.clips(self.frame_counts, Draws(self.seed, 0))
        self.clips_per_epoch = len(self._clips)
        self._report_short()
        self.rows_per_epoch = self._count_rows()

    def __len__(self) -> int:
        """Batches per epoch, the same for each rank."""
        return (self.rows_per_epoch + self.batch_size - 1) // self.batch_size

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits over all that decides which clips batch b of epoch e holds, among videos as they are.

        The rank is left out, so that one saved state serves every rank.
        """
        options = (self.sampler, self.batch_size, self.shuffle, self.drop_last, self.seed, self.world)
        digest = blake2b(f"plan 1 {options!r}".encode(), digest_size=8)
        digest.update(self.frame_counts.astype("<i8").tobytes())
        return digest.hexdigest()

    def tickets(self, epoch: int, batch: int) -> tuple[NDArray[np.void], NDArray[np.bool_]]:
        """Write the tickets of one batch.

        Parameters
        ----------
        epoch : int
            At least 0.
        batch : int
            At least 0 and below ``len(plan)``.

        Returns
        -------
        tickets : ndarray of `ticket_dtype`, (n,)
            In row order; n is ``batch_size``, less for a shorter last batch. ``video`` is an index into the
            frame counts. A padded clip keeps a position of its own, beyond the clips.
        padding : ndarray of bool, (n,)
            True where a clip is there only to fill the batch.

        Raises
        ------
        OptionError
            If there is no such epoch or batch.
        """
        return next(self.run(epoch, batch, 1))

    def run(self, epoch: int, batch: int, most: int) -> Iterator[tuple[NDArray[np.void], NDArray[np.bool_]]]:
        """Write the tickets of consecutive batches, for little more than those of one take.

        Parameters
        ----------
        epoch, batch : int
            The first batch, as for `tickets`.
        most : int
            How many batches, at least 1; fewer if the epoch ends before.

        Yields
        ------
        tuple
            What `tickets` gives for each.

        Raises
        ------
        OptionError
            If there is no such epoch or batch.
        """
        epoch = _checked_epoch(epoch)
        batch = checked_int(batch, "batch", 0, len(self))
        last = min(batch + most, len(self))
        ends = np.minimum(np.arange(batch + 1, last + 1) * self.batch_size, self.rows_per_epoch)
        ends -= batch * self.batch_size  # of each batch, in rows of this run
        rows = np.arange(ends[-1])
        positions = self._positions(batch * self.batch_size + rows)
        clips = self._clips_at(epoch, positions)

        tickets = np.zeros(len(rows), self.ticket_dtype)
        tickets["epoch"] = epoch
        tickets["position"] = positions
        tickets["video"] = clips.video
        tickets["frames"][:, : self.sampler.time_steps] = self.sampler.frames(clips)
        padding = positions >= self.clips_per_epoch
        draws, start = Draws(self.seed, epoch), 0
        together = ends if self.world > 1 else ends[-1:]  # what lies together for this rank
        for end in together.tolist():
            first = int(positions[start])
            tickets["draws"][start:end] = draws.units(Purpose.RECIPE, first, end - start, self.draws)
            start = end
        start = 0
        for end in ends.tolist():
            yield tickets[start:end], padding[start:end]
            start = end

    def table(self, epoch: int) -> dict[str, NDArray[Any]]:
        """List all that this rank reads in an epoch, in the order of its batches.

        Parameters
        ----------
        epoch : int
            At least 0.

        Returns
        -------
        dict of str to ndarray, (rows_per_epoch,)
            ``position``, ``video`` and ``start``, int64, and ``padding``, bool.

        Raises
        ------
        OptionError
            If there is no such epoch.
        """
        positions = self._positions(np.arange(self.rows_per_epoch))
        clips = self._clips_at(_checked_epoch(epoch), positions)
        return {
            "position": positions,
            "video": clips.video,
            "start": clips.start,
            "padding": positions >= self.clips_per_epoch,
        }

    def _positions(self, served: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the places in the epoch of this rank's clips, given in served order."""
        if self.world == 1:
            return served
        batch, row = np.divmod(served, self.batch_size)
        rows = np.minimum(self.batch_size, self.rows_per_epoch - batch * self.batch_size)
        positions: NDArray[np.int64] = batch * self.batch_size * self.world + self.rank * rows + row
        return positions

    def _clips_at(self, epoch: int, positions: NDArray[np.int64]) -> Clips:
        clips, order = self._epoch(epoch)
        which = positions % self.clips_per_epoch
        return clips.rows(which if order is None else order[which])

    def _epoch(self, epoch: int) -> tuple[Clips, NDArray[np.int64] | None]:
        for known, clips, order in self._recent:
            if known == epoch:
                return clips, order
        draws = Draws(self.seed, epoch)
        clips = self.sampler.clips(self.frame_counts, draws) if self.sampler.varies else self._clips
        order = None
        if self.shuffle:
            words = draws.words(Purpose.ORDER, 0, self.clips_per_epoch, 1)[:, 0]
            order = np.argsort(words, kind="stable")
        # Two epochs, since prefetch runs past an epoch's end; a new tuple, so that threads need no lock.
        self._recent = ((epoch, clips, order), *self._recent[:1])
        return clips, order

    def _report_short(self) -> None:
        videos, span = len(self.frame_counts), self.sampler.span
        short = int(np.count_nonzero(self.frame_counts < span))
        if self.clips_per_epoch == 0:
            raise OptionError(
                f"no video gives a clip: the longest of {videos} has {self.frame_counts.max()} frames and a "
                f"clip of {self.sampler!r} spans {span}; lower time_steps or dilation"
            )
        if short and self.rank == 0:
            _log.warning(
                "%d of %d videos are shorter than the %d frames a clip spans and give no clip",
                short,
                videos,
                span,
            )

    def _count_rows(self) -> int:
        if not self.drop_last:
            return -(-self.clips_per_epoch // self.world)
        together = self.world * self.batch_size
        if self.clips_per_epoch < together:
            raise OptionError(
                f"drop_last=True leaves no batch: {self.clips_per_epoch} clips are fewer than the {together} "
                f"of one batch of all ranks (batch_size={self.batch_size}, world={self.world}); "
                "lower batch_size, or keep the last batch with drop_last=False"
            )
        return self.clips_per_epoch // together * self.batch_size


def resolve_rank(rank: int | Literal["env"], world: int | None = None) -> tuple[int, int]:
    """Find out which part of an epoch this process reads.

    Parameters
    ----------
    rank : int or "env"
        The rank, or ``"env"`` to read what the launcher of this process left in its environment: torchrun,
        accelerate, horovodrun, Open MPI, MPICH and others with PMI, ``TF_CONFIG``, or Slurm. The first that
        is there counts, in this order: a launcher that runs inside another knows better.
    world : int, optional
        How many ranks there are. May be left out for rank 0, which is then alone, and for ``"env"``, which
        is otherwise checked against it.

    Returns
    -------
    rank, world : int
        With ``0 <= rank < world``.

    Raises
    ------
    OptionError
        If the numbers contradict each other, or the environment holds none.
    """
    if world is not None:
        world = checked_int(world, "world", 1)
    if rank != "env":
        if isinstance(rank, str):
            raise OptionError(f'rank={rank!r}: must be a number or "env"')
        if world is None and rank != 0:
            raise OptionError(f"rank={rank!r}: needs world=, the number of ranks")
        world = world or 1
        return _checked_rank(rank, world), world
    names, rank, found = next(_launched(), ("", 0, 0))
    if not names:
        looked = ", ".join(f"{a} and {b}" for a, b in (*_INNER, *_OUTER))
        raise OptionError(f'rank="env": found none of {looked}, TF_CONFIG; pass rank= and world= as numbers')
    if world not in (None, found):
        raise OptionError(
            f"world={world}: is {found} by {names}; leave world out, or give the rank as a number"
        )
    _log.info("rank %d of %d, from %s", rank, found, names)
    return rank, found


_INNER = (
    ("RANK", "WORLD_SIZE"),  # torchrun, accelerate
    ("HOROVOD_RANK", "HOROVOD_SIZE"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("PMI_RANK", "PMI_SIZE"),  # MPICH, Intel MPI
)
_OUTER = (("SLURM_PROCID", "SLURM_NTASKS"),)  # last: often the outer shell of one of the others


def _launched() -> Iterator[tuple[str, int, int]]:
    """Yield (where it was found, rank, world) of each launcher that left both numbers."""
    yield from _numbers(_INNER)
    yield from _tf_config()
    yield from _numbers(_OUTER)


def _numbers(pairs: tuple[tuple[str, str], ...]) -> Iterator[tuple[str, int, int]]:
    for pair in pairs:
        texts = [os.environ.get(name, "") for name in pair]
        if not all(texts):
            continue
        if not all(text.isdecimal() for text in texts):
            raise OptionError(f"{pair[0]}={texts[0]!r} and {pair[1]}={texts[1]!r}: must be integers from 0")
        world = checked_int(int(texts[1]), pair[1], 1)
        yield " and ".join(pair), _checked_rank(int(texts[0]), world, *pair), world


def _tf_config() -> Iterator[tuple[str, int, int]]:
    text = os.environ.get("TF_CONFIG", "")
    try:
        config = json.loads(text or "{}")
        cluster, task = config.get("cluster", {}), config.get("task", {})
        chiefs, workers = (len(cluster.get(kind, ())) for kind in ("chief", "worker"))
        kind, number = task.get("type"), int(task.get("index", 0))
    except (ValueError, TypeError, AttributeError) as error:
        raise OptionError(f"TF_CONFIG={text!r}: must be JSON with a cluster and a task ({error})") from error
    if not chiefs + workers:
        return
    if kind not in ("chief", "worker"):
        raise OptionError(f"TF_CONFIG: a task of type {kind!r} reads no clips; only chief and worker do")
    rank = number + chiefs * (kind == "worker")  # TensorFlow counts the chief first
    yield "TF_CONFIG", _checked_rank(rank, chiefs + workers, "TF_CONFIG's rank", "tasks"), chiefs + workers


def _checked_rank(rank: object, world: int, knob: str = "rank", of: str = "world") -> int:
    number = checked_int(rank, knob, 0)
    if number >= world:
        raise OptionError(f"{knob}={number}: must be below {of}={world}; ranks count from 0")
    return number


def _checked_epoch(epoch: object) -> int:
    return checked_int(epoch, "epoch", 0, 2**63)


def _checked_counts(frame_counts: ArrayLike) -> NDArray[np.int64]:
    counts = np.array(frame_counts)
    if counts.ndim != 1 or len(counts) == 0 or counts.dtype.kind not in "iu":
        raise OptionError(
            f"frame_counts of shape {counts.shape} and type {counts.dtype}: must be integers, one per video"
        )
    wrong = np.flatnonzero((counts < 0) | (counts >= 2**31))
    if len(wrong):
        raise OptionError(
            f"frame_counts[{wrong[0]}]={counts[wrong[0]]}: must be a number of frames, from 0 to {2**31 - 1}"
        )
    return counts.astype(np.int64)

"""Epochs of a mix: a fixed number of clips of each set, each of which goes through epochs of its own.

The *stream* of a set is endless: its clips in a random order, and then again in other orders, each called a
*pass*. An epoch takes the next clips of each stream, and a random order says from which set each is. Here of
4 clips of set a and 2 of set b, with 3 clips of each in an epoch::

    stream of a    a2 a0 a3 a1 | a1 a3 a0 a2 | ...      passes of 4
    stream of b    b1 b0 | b0 b1 | b1 b0 | ...          passes of 2
    epoch 0        a2 b1 b0 a0 a3 b0                    the first 3 of each
    epoch 1        b1 a1 a1 b1 a3 b0                    the next 3 of each

So each clip of a set comes once before any comes twice, in the order of the positions, over the ends of
epochs. Clip i of the stream of a set of n clips is in pass i // n. A sampler that draws, such as
`RandomWindow`, draws anew in each pass.

Epoch e of a set with s clips in an epoch has the places e * s to (e + 1) * s of its stream: nothing depends
on the epochs before, so an epoch can be resumed or asked for by itself. An epoch takes 4 bytes of memory per
clip, and so does the order of a pass, which is kept while epochs take from it.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastclips.errors import OptionError
from fastclips.planning.draws import Draws, Purpose
from fastclips.planning.per_set import PickedClips, Piece, grouped

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from fastclips.data.sets import Sets
    from fastclips.planning.clips import Clips, Videos
    from fastclips.planning.per_set import PerSet

__all__ = ["MixedEpochs", "divide"]

_TOGETHER = 2**16  # clips of passes that are put in order together, if several are wanted
_ORDERS, _CUTS = 2, 4  # orders of single passes, and clips that were cut for a pass, kept for each set


class _Epoch(NamedTuple):
    number: int
    clips: NDArray[np.integer[Any]]  # clip * views + view at each position, counted over all sets
    passes: NDArray[np.uint32] | None  # of each, from that of the set's first clip in the epoch on


class MixedEpochs:
    """The clips of all epochs of a mix, by position.

    Parameters
    ----------
    videos : Videos
        The videos, set by set.
    sampler : PerSet
        Cuts each set.
    sets : Sets
        Weights, and the clips of an epoch.
    views : int
        Views of each clip that the recipe makes.
    seed : int
        As of `Plan`.

    Attributes
    ----------
    counts : list of int
        Clips of each set in an epoch, each view counted.
    groups : int
        Clips of an epoch, each view counted.
    epochs : int
        In so many epochs every set with a share is through all of its clips.

    Raises
    ------
    OptionError
        If a set with a weight gives no clip, or has none in an epoch.
    """

    def __init__(self, videos: Videos, sampler: PerSet, sets: Sets, *, views: int, seed: int) -> None:
        self._videos, self._sampler, self._views, self._seed = videos, sampler, views, seed
        self._clips = sampler.clips(videos, Draws(seed, 0))
        self._sizes = [len(clips) * views for clips in self._clips.sets]
        self.counts = _counts(self._sizes, sets, sampler)
        self.groups = sum(self.counts)
        pairs = zip(self._sizes, self.counts, strict=True)
        self.epochs = max((-(-size // count) for size, count in pairs if count), default=1)
        self._dtype = np.uint32 if sum(self._sizes) < 2**32 else np.int64
        self._recent: tuple[_Epoch, ...] = ()
        self._orders = [_Kept(_ORDERS) for _ in self._sizes]
        self._cuts = [_Kept(_CUTS) for _ in self._sizes]

    def at(self, epoch: int, groups: NDArray[np.int64]) -> tuple[PickedClips, NDArray[np.int64]]:
        """Return the clips at some positions: see `OneOrder.at`."""
        made, which = self._epoch(epoch), groups % self.groups
        clip, view = np.divmod(made.clips[which].astype(np.int64), self._views)
        if made.passes is None:
            return self._clips.rows(clip), view
        passes = made.passes[which].astype(np.int64)
        pieces = []
        for number, places in grouped(np.searchsorted(self._clips.ends, clip, side="right")):
            first = int(self._clips.ends[number]) - len(self._clips.sets[number])
            base = epoch * self.counts[number] // self._sizes[number]
            for later, among in grouped(passes[places]):
                cut = self._cut(number, base + later)
                pieces.append(Piece(number, places[among], cut.rows(clip[places[among]] - first)))
        return PickedClips(pieces, self._sampler.begins), view

    def _epoch(self, epoch: int) -> _Epoch:
        for known in self._recent:
            if known.number == epoch:
                return known
        clips: NDArray[np.integer[Any]] = np.empty(self.groups, self._dtype)
        passes = np.zeros(self.groups, np.uint32) if self._sampler.varies else None
        spread: NDArray[np.integer[Any]] | None = None
        if max(self.counts) < self.groups:
            spread = Draws(self._seed, epoch).order(Purpose.SPREAD, self.groups)
        begin = first = 0
        for number, (count, size) in enumerate(zip(self.counts, self._sizes, strict=True)):
            places: slice | NDArray[np.integer[Any]] = slice(begin, begin + count)
            if spread is not None:
                places = np.sort(spread[places])
            clips[places] = self._stream(number, epoch * count, count, first)
            if passes is not None and count and self._sampler.samplers[number].varies:
                passes[places] = _passes_of(epoch * count % size, count, size)
            begin, first = begin + count, first + size
        made = _Epoch(epoch, clips, passes)
        self._recent = (made, *self._recent[:1])  # as of `OneOrder`
        return made

    def _stream(self, number: int, first: int, count: int, begin: int) -> NDArray[np.integer[Any]]:
        """Return some consecutive clips of the stream of a set, whose clips are numbered from `begin` on."""
        found: NDArray[np.integer[Any]] = np.empty(count, self._dtype)
        size = self._sizes[number]
        done = 0
        while done < count:
            number_of, at = divmod(first + done, size)
            several = min(max(_TOGETHER // size, 1), -(-(at + count - done) // size))
            piece = self._passes(number, number_of, several)[at : at + count - done]
            found[done : done + len(piece)] = piece
            done += len(piece)
        found += self._dtype(begin)
        return found

    def _passes(self, number: int, first: int, count: int) -> NDArray[np.integer[Any]]:
        """Return the clips of some consecutive passes of a set; the order of a single one is kept."""
        draws, size = Draws(self._seed, number), self._sizes[number]
        if count > 1:
            words = draws.words(Purpose.STREAM, first * size, count * size, 1)
            return np.argsort(words.reshape(count, size), axis=1, kind="stable").reshape(-1)
        order: NDArray[np.integer[Any]] = self._orders[number].get(
            first, lambda: draws.order(Purpose.STREAM, size, first * size)
        )
        return order

    def _cut(self, number: int, of_pass: int) -> Clips:
        """Return the clips of a set in a pass."""
        if not self._sampler.samplers[number].varies:
            return self._clips.sets[number]
        cut: Clips = self._cuts[number].get(
            of_pass, lambda: self._sampler.cut(number, self._videos, Draws(self._seed, of_pass))
        )
        return cut


class _Kept:
    """The last few things that were made, by number. Threads need no lock, as for `OneOrder`."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: tuple[tuple[int, Any], ...] = ()

    def get(self, number: int, make: Callable[[], Any]) -> Any:  # noqa: ANN401 - what is made
        for known, value in self._known:
            if known == number:
                return value
        value = make()
        self._known = ((number, value), *self._known[: self._most - 1])
        return value


def _passes_of(at: int, count: int, size: int) -> NDArray[np.uint32]:
    """Return the pass of each of so many consecutive clips of a stream, from place `at` of pass 0 on."""
    passes = -(-(at + count) // size)
    lengths = np.full(passes, size)
    lengths[-1] -= passes * size - at - count
    lengths[0] -= at
    return np.repeat(np.arange(passes, dtype=np.uint32), lengths)


def _counts(sizes: Sequence[int], sets: Sets, sampler: PerSet) -> list[int]:
    """Return the clips of each set in an epoch."""
    total = sum(sizes) if sets.clips_per_epoch is None else sets.clips_per_epoch
    weights: Sequence[float] = sizes if sets.weights is None else sets.weights
    for number, (size, weight) in enumerate(zip(sizes, weights, strict=True)):
        if weight and not size and any(sizes):
            raise OptionError(
                f"weights of the mix: set {number} has the weight {weight:g}, but none of its "
                f"{sampler.counts[number]} videos gives a clip of {sampler.samplers[number]!r}; ask for "
                'fewer frames, pass short="pad", or leave the set out'
            )
    if not any(sizes):  # `Plan` says why
        return [0] * len(sizes)
    if not any(weights):
        raise OptionError(
            "weights of the mix: must be above 0 for a set; all sets that were selected have weight 0"
        )
    counts = divide(total, weights)
    for number, (count, weight) in enumerate(zip(counts, weights, strict=True)):
        if weight and not count:
            enough = -(-sum(map(Fraction, weights)) // Fraction(weight))
            knob = "weights" if sets.weights is not None else "the numbers of clips"
            raise OptionError(
                f"clips_per_epoch={total}: by {knob}, none of them would be of set {number}; give at least "
                f"clips_per_epoch={enough}, or leave the set out"
            )
    return counts


def divide(total: int, weights: Sequence[float]) -> list[int]:
    """Divide a number by weights: each part is rounded down, and the largest remainders get one more.

    Of equal remainders, the first come first.

    >>> divide(10, [1, 1, 1]), divide(8, [3, 1])
    ([4, 3, 3], [6, 2])
    """
    exact = [*map(Fraction, weights)]
    quotas = [total * weight / sum(exact) for weight in exact]
    parts = [int(quota) for quota in quotas]
    by_remainder = sorted(range(len(parts)), key=lambda number: parts[number] - quotas[number])
    for number in by_remainder[: total - sum(parts)]:
        parts[number] += 1
    return parts

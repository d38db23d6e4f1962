"""Samplers of a mix: each set of videos is cut by itself, by a sampler of its own or the same for all.

The clips of a mix are those of its sets, one set after the other::

    videos     0 ............... 100 ............ 350
               set 0             set 1
    clips      0 ...... 80000    ....... 95000            rows of `SetClips`
    samplers   Windows(16)       Windows(16, step=2)

A sampler sees the videos of its set alone, numbered from 0, and returns its own clips, of its own class.
Rows of several sets are a `PickedClips`: pieces of one sampler's clips, each with the places of its rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fastclips.errors import OptionError
from fastclips.planning.clips import Clips, ClipSampler, cut_videos, list_frames

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from fastclips.data.sets import Sets
    from fastclips.planning.clips import Videos
    from fastclips.planning.draws import Draws

__all__ = ["PerSet", "PickedClips", "Piece", "SetClips", "checked_sampler", "grouped"]


class Piece(NamedTuple):
    """Clips of one set among those of several.

    Parameters
    ----------
    number : int
        The set.
    places : ndarray of int64, (n,)
        Their places.
    clips : Clips
        As its sampler made them, with videos numbered in the set.
    """

    number: int
    places: NDArray[np.int64]
    clips: Clips


class PickedClips(Clips):
    """Some clips of several sets.

    Parameters
    ----------
    pieces : sequence of Piece
        The clips. Each place from 0 on is in one piece.
    begins : sequence of int
        First video of each set.
    """

    def __init__(self, pieces: Sequence[Piece], begins: Sequence[int]) -> None:
        count = sum(len(piece.places) for piece in pieces)
        columns = [np.zeros(count, np.int64) for _ in range(3)]
        for number, places, clips in pieces:
            for column, own in zip(columns, (clips.video, clips.start, clips.view), strict=True):
                column[places] = own
            columns[0][places] += begins[number]
        for name, column in zip(("video", "start", "view"), columns, strict=True):
            object.__setattr__(self, name, column)
        object.__setattr__(self, "pieces", tuple(pieces))
        object.__setattr__(self, "_begins", begins)

    pieces: tuple[Piece, ...]
    _begins: Sequence[int]

    def rows(self, which: NDArray[np.int64]) -> PickedClips:
        """Return some of the clips: see `Clips.rows`."""
        piece_of, row_of = np.empty((2, len(self)), np.int64)
        for number, piece in enumerate(self.pieces):
            piece_of[piece.places], row_of[piece.places] = number, np.arange(len(piece.places))
        picked = [
            Piece(self.pieces[number].number, places, self.pieces[number].clips.rows(row_of[which[places]]))
            for number, places in grouped(piece_of[which])
        ]
        return PickedClips(picked, self._begins)


class SetClips(Clips):
    """All clips of several sets, one set after the other.

    Parameters
    ----------
    sets : sequence of Clips
        The clips of each set, with videos numbered in the set.
    begins : sequence of int
        First video of each set.
    """

    def __init__(self, sets: Sequence[Clips], begins: Sequence[int]) -> None:
        object.__setattr__(self, "sets", tuple(sets))
        object.__setattr__(self, "ends", np.cumsum([len(clips) for clips in sets]))
        object.__setattr__(self, "_begins", begins)

    sets: tuple[Clips, ...]
    ends: NDArray[np.int64]
    _begins: Sequence[int]

    def __len__(self) -> int:
        return int(self.ends[-1])

    def rows(self, which: NDArray[np.int64]) -> PickedClips:
        """Return some of the clips: see `Clips.rows`."""
        pieces = []
        for number, places in grouped(np.searchsorted(self.ends, which, side="right")):
            clips = self.sets[number]
            first = int(self.ends[number]) - len(clips)
            pieces.append(Piece(number, places, clips.rows(which[places] - first)))
        return PickedClips(pieces, self._begins)

    @property
    def video(self) -> NDArray[np.int64]:  # computed on each access, as are all columns
        """Row of the videos."""
        return np.concatenate(
            [clips.video + begin for clips, begin in zip(self.sets, self._begins, strict=False)]
        )

    @property
    def start(self) -> NDArray[np.int64]:
        """Start of each clip, as its sampler has it."""
        return np.concatenate([clips.start for clips in self.sets])

    @property
    def view(self) -> NDArray[np.int64]:
        """View of each clip, as its sampler has it."""
        return np.concatenate([clips.view for clips in self.sets])


def grouped(numbers: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Yield each number that occurs, ascending, and its places, ascending."""
    order = np.argsort(numbers, kind="stable")
    sorted_ = numbers[order]
    begins = np.flatnonzero(np.diff(sorted_, prepend=sorted_[:1] - 1))
    for begin, end in zip(begins.tolist(), [*begins[1:].tolist(), len(order)], strict=True):
        yield int(sorted_[begin]), order[begin:end]


@dataclass(frozen=True)
class PerSet(ClipSampler):
    """A sampler for each set of a mix.

    Parameters
    ----------
    samplers : tuple of ClipSampler
        One for each set, all of as many time steps.
    counts : tuple of int
        Videos of each set.
    """

    samplers: tuple[ClipSampler, ...]
    counts: tuple[int, ...]

    @property
    def time_steps(self) -> int:
        """Frames in a clip."""
        return self.samplers[0].time_steps

    @property
    def varies(self) -> bool:
        """Whether any sampler varies."""
        return any(sampler.varies for sampler in self.samplers)

    @property
    def pads(self) -> bool:
        """Whether any sampler pads."""
        return any(sampler.pads for sampler in self.samplers)

    @property
    def given(self) -> ClipSampler | tuple[ClipSampler, ...]:
        """The sampler, if it is the same for all sets; else all."""
        alike = all(sampler is self.samplers[0] for sampler in self.samplers)
        return self.samplers[0] if alike else self.samplers

    @property
    def begins(self) -> list[int]:
        """First video of each set."""
        return [0, *np.cumsum(self.counts[:-1]).tolist()]

    def parts(self, videos: Videos) -> list[Videos]:
        """Return the videos of each set, the same objects for the same videos."""
        known: tuple[Videos, list[Videos]] | None = self.__dict__.get("_known")
        if known is None or known[0] is not videos:
            pairs = zip(self.begins, self.counts, strict=True)
            known = videos, [videos.part(begin, begin + count) for begin, count in pairs]
            object.__setattr__(self, "_known", known)
        return known[1]

    def cut(self, number: int, videos: Videos, draws: Draws) -> Clips:
        """Return the clips of a set, with videos numbered in the set."""
        own = replace(draws, first_video=self.begins[number])
        return cut_videos(self.samplers[number], self.parts(videos)[number], own)

    def clips(self, videos: Videos, draws: Draws) -> SetClips:
        """Cut all videos: see `ClipSampler.clips`."""
        cut = [self.cut(number, videos, draws) for number in range(len(self.samplers))]
        return SetClips(cut, self.begins)

    def frames(self, clips: Clips, videos: Videos) -> NDArray[np.int32]:
        """Return the frames of some clips: see `ClipSampler.frames`."""
        if isinstance(clips, SetClips):
            clips = clips.rows(np.arange(len(clips)))
        assert isinstance(clips, PickedClips)  # noqa: S101 - as both methods return
        out = np.empty((len(clips), self.time_steps), np.int32)
        parts = self.parts(videos)
        for number, places, own in clips.pieces:
            out[places] = list_frames(self.samplers[number], own, parts[number])
        return out

    def shortage(self, videos: Videos) -> str:
        """Return a message on short videos: see `ClipSampler.shortage`."""
        news = (
            sampler.shortage(part) for sampler, part in zip(self.samplers, self.parts(videos), strict=True)
        )
        return "; ".join(f"set {number}: {text}" for number, text in enumerate(news) if text)


def checked_sampler(sampler: object, sets: Sets | None = None) -> ClipSampler:
    """Return a sampler; raise `OptionError` if it is none.

    Parameters
    ----------
    sampler : ClipSampler, or sequence of ClipSampler
        For all videos, or for each set of a mix.
    sets : Sets, optional
        The sets of a mix.
    """
    if not isinstance(sampler, (list, tuple)):
        one = _checked_one(sampler)
        shares = sets is not None and sets.has_shares
        return PerSet((one,) * len(sets.counts), sets.counts) if sets is not None and shares else one
    if sets is None or len(sampler) != len(sets.counts):
        there = "this dataset is no mix" if sets is None else f"this mix has {len(sets.counts)} sets"
        raise OptionError(
            f"clips= is a list of {len(sampler)}: must be one sampler, or one for each set of a mix made by "
            f"fastclips.mix, and {there}"
        )
    several = tuple(map(_checked_one, sampler))
    steps = [one.time_steps for one in several]
    if len({*steps}) > 1:
        raise OptionError(
            f"clips= has samplers with time_steps of {', '.join(map(str, steps))}: must be the same for all "
            "sets, since a batch is one array"
        )
    return PerSet(several, sets.counts)


def _checked_one(sampler: object) -> ClipSampler:
    if isinstance(sampler, ClipSampler):
        if getattr(sampler, "time_steps", None) is None:
            raise OptionError(f"clips={sampler!r}: must have time_steps, the number of frames in a clip")
        return sampler
    raise OptionError(
        f"clips={sampler!r}: must be a sampler, such as Windows(time_steps=16), or an object of a class of "
        "yours that inherits fastclips.ClipSampler"
    )

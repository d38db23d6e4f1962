"""A check that a sampler keeps the contract of `fastclips.ClipSampler`."""

from __future__ import annotations

import inspect
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

import cloudpickle
import numpy as np

from fastclips.errors import OptionError
from fastclips.planning.clips import Clips, ClipSampler, Videos
from fastclips.planning.draws import Draws
from fastclips.planning.per_set import checked_sampler

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["check_sampler"]

_EPOCHS = [Draws(seed, epoch) for seed, epoch in ((0, 0), (0, 1), (2**64 - 1, 2**40))]
_MOST = 4096  # clips whose frames are checked
_COLUMNS = ("video", "start", "view")


def check_sampler(sampler: ClipSampler, videos: Videos | None = None) -> None:
    """Check that a sampler keeps the contract of `fastclips.ClipSampler`.

    The sampler cuts some videos in several epochs. Its clips and their frames must have the right types and
    shapes, lie within their videos, and be the same whenever they are asked for. Its repr must name all
    options, and cloudpickle must restore it.

    Parameters
    ----------
    sampler : ClipSampler
        The sampler to check.
    videos : Videos, optional
        Videos to cut, of `fastclips.planning.clips`. By default videos of many lengths, empty and very short
        videos included; if the sampler refuses these by `OptionError`, long videos alone.

    Raises
    ------
    AssertionError
        If the sampler breaks the contract; the message says how.
    OptionError
        If the sampler refuses the videos.

    Examples
    --------
    >>> from fastclips.testing import check_sampler
    >>> check_sampler(fc.Windows(4, step=2, short="pad"))
    """
    _check_attributes(sampler)
    _check_repr(sampler)
    videos = _accepted_videos(sampler) if videos is None else videos
    counts = videos.frame_counts.copy()
    cut = [sampler.clips(videos, draws) for draws in _EPOCHS]
    _expect(np.array_equal(videos.frame_counts, counts), "clips() has changed videos.frame_counts")
    _expect(len(cut[0]) > 0, "no video gives a clip, so nothing can be checked: pass videos= that do")
    for clips, draws in zip(cut, _EPOCHS, strict=True):
        _check_columns(clips, videos)
        _check_frames(sampler, clips, videos)
        _check_same(sampler, clips, sampler.clips(videos, draws), videos, "clips() called twice")
    for clips in cut[1:]:
        _expect(np.array_equal(clips.video, cut[0].video), "Clips.video differs between epochs")
        if not sampler.varies:
            _check_same(sampler, cut[0], clips, videos, "varies is False, but two epochs")
    restored = cloudpickle.loads(cloudpickle.dumps(sampler))
    _expect(repr(restored) == repr(sampler), f"a pickle restores {restored!r} in place of {sampler!r}")
    _check_same(restored, cut[0], restored.clips(videos, _EPOCHS[0]), videos, "the sampler and its pickle")
    _expect(isinstance(sampler.shortage(videos), str), "shortage() must return a str")


def _expect(condition: object, message: str) -> None:
    if not condition:
        raise AssertionError(message)


def _check_attributes(sampler: ClipSampler) -> None:
    checked_sampler(sampler)
    steps: Any = sampler.time_steps
    right = isinstance(steps, int) and not isinstance(steps, bool) and steps >= 1
    _expect(right, f"time_steps={steps!r}: must be an int of at least 1")
    for name in ("varies", "pads"):
        value: Any = getattr(sampler, name)
        _expect(isinstance(value, bool), f"{name}={value!r}: must be a bool")


def _check_repr(sampler: ClipSampler) -> None:
    """Check that the repr names every field of a dataclass, or every parameter of a constructor."""
    kind = type(sampler)
    if is_dataclass(sampler):
        options = [field.name for field in fields(sampler) if field.init]
    elif kind.__init__ is object.__init__:
        options = []
    else:
        options = list(inspect.signature(kind).parameters)
    _expect(kind.__repr__ is not object.__repr__, f"{kind.__name__} has no __repr__ that names its options")
    missing = [name for name in options if f"{name}=" not in repr(sampler)]
    _expect(not missing, f"the repr {sampler!r} must name all options, but lacks {', '.join(missing)}")


def _accepted_videos(sampler: ClipSampler) -> Videos:
    """Return the default videos, without those that are too short for a sampler that refuses them."""
    steps = sampler.time_steps
    counts = np.array([0, 1, steps - 1, steps, steps + 1, 2 * steps, 7 * steps + 3, 40 * steps + 1, 997])
    fps = np.resize([25.0, 29.97, 12.5, 60.0], len(counts))
    videos = Videos(counts, fps)
    try:
        sampler.clips(videos, _EPOCHS[0])
    except OptionError:
        return Videos(counts + 1000 * steps, fps)
    return videos


def _check_columns(clips: Clips, videos: Videos) -> None:
    _expect(isinstance(clips, Clips), f"clips() returned {type(clips).__name__}: must be fastclips.Clips")
    for name in _COLUMNS:
        column: Any = getattr(clips, name)
        right = isinstance(column, np.ndarray) and column.dtype == np.int64 and column.shape == (len(clips),)
        _expect(
            right, f"Clips.{name} must be an int64 array of shape ({len(clips)},), but is {_kind(column)}"
        )
    known = (clips.video >= 0) & (clips.video < len(videos))
    _expect(known.all(), f"Clips.video must be rows of the {len(videos)} videos")
    _expect((clips.view >= 0).all(), "Clips.view must be at least 0")


def _check_frames(sampler: ClipSampler, clips: Clips, videos: Videos) -> None:
    """Check the frames of a sample of the clips, in order, shuffled and none at all."""
    rows = np.unique(np.linspace(0, len(clips) - 1, _MOST).astype(np.int64))
    frames = _frames(sampler, clips.rows(rows), videos)
    for chosen in (np.random.default_rng(0).permutation(len(rows)), np.array([0, 0]), np.arange(0)):
        some = clips.rows(rows[chosen])
        _expect(isinstance(some, Clips), f"Clips.rows() returned {type(some).__name__}: must be Clips")
        _check_columns(some, videos)
        for name in _COLUMNS:
            same = np.array_equal(getattr(some, name), getattr(clips, name)[rows[chosen]])
            _expect(same, f"Clips.rows() returned other values of {name} than the column has at these rows")
        same = np.array_equal(_frames(sampler, some, videos), frames[chosen])
        _expect(same, "frames() of a clip must not depend on the clips beside it")
    shown = np.where(frames < 0, ~frames, frames)
    counts = videos.frame_counts[clips.video[rows]]
    outside = np.flatnonzero((shown >= counts[:, None]).any(axis=1))
    if len(outside):
        row = outside[0]
        raise AssertionError(
            f"frames() must stay within the clip's video: a video of {counts[row]} frames gave "
            f"{frames[row].tolist()}"
        )
    _expect(sampler.pads or (frames >= 0).all(), "pads is False, but frames() has marked padding (~frame)")


def _frames(sampler: ClipSampler, clips: Clips, videos: Videos) -> NDArray[np.int32]:
    frames: Any = sampler.frames(clips, videos)
    shape = (len(clips), sampler.time_steps)
    right = isinstance(frames, np.ndarray) and frames.dtype == np.int32 and frames.shape == shape
    _expect(right, f"frames() must return an int32 array of shape {shape}, but returned {_kind(frames)}")
    return np.array(frames)  # a copy: the sampler may write to its own


def _check_same(sampler: ClipSampler, clips: Clips, others: Clips, videos: Videos, source: str) -> None:
    """Check that two results of `clips` are equal, frames included."""
    for name in _COLUMNS:
        same = np.array_equal(getattr(clips, name), getattr(others, name))
        _expect(same, f"{source} must give the same clips, but Clips.{name} differs")
    rows = np.arange(min(len(clips), _MOST))
    first, second = (_frames(sampler, some.rows(rows), videos) for some in (clips, others))
    _expect(np.array_equal(first, second), f"{source} must give the same clips, but their frames differ")


def _kind(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} of shape {value.shape}"
    return type(value).__name__

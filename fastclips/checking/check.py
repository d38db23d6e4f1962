"""`fastclips.check`: read and decode every frame of a dataset, and list its defects.

::

    StoredVideos.runs ──> Looker.look, in worker processes ──> Seen ──> Check.add ──> Check.result ──> Checked

What is kept grows by 8 bytes for each frame, its digest, and by 18 bytes for each video. Of each kind of
defect, the first 1,000 places are kept.
"""

from __future__ import annotations

from array import array
from contextlib import closing
from hashlib import blake2b
from time import monotonic
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from fastclips.checking.report import KINDS, Checked, Finding
from fastclips.data.dataset import Dataset
from fastclips.data.labels import OneClass, SeveralClasses
from fastclips.data.stored import StoredVideos
from fastclips.errors import OptionError
from fastclips.options import checked_int, checked_workers
from fastclips.processes import in_order
from fastclips.serving.mask_check import describe_useless

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence

    from numpy.typing import NDArray

    from fastclips.checking.looking import Place, Seen
    from fastclips.packing.parts import Problem

__all__ = ["Check", "check"]

_RUN = 64  # frames that a worker looks at before it answers
_KEPT = 1000  # places of each kind
_BYTE = 256
_BAD = ("damaged", "sizes", "stream_sizes", "mask_values", "equal")  # kinds of whole videos, to be left out


def check(
    dataset: Dataset,
    *,
    time_steps: int | None = None,
    mask_classes: int | None = None,
    workers: int | None = None,
) -> Checked:
    """Read and decode every frame of a dataset, and list what would harm training.

    ``fastclips check`` is this function. A progress bar is shown at a terminal.

    Parameters
    ----------
    dataset : Dataset
        From `fastclips.open`.
    time_steps : int, optional
        Frames of a clip: shorter videos are listed.
    mask_classes : int, optional
        Number of classes of masks, 1 to 256: masks with other values than these and `ignore` are listed.
    workers : int, optional
        Worker processes; by default as many as CPUs and the quota of a control group allow; 0 does the work
        in the caller.

    Returns
    -------
    Checked
        What was found.

    Raises
    ------
    OptionError
        An argument has a wrong value.
    EngineError
        A worker process died, or could not be started.

    Notes
    -----
    The kinds of findings:

    ================== ======== ========================================================================
    kind               counts   what it means
    ================== ======== ========================================================================
    ``damaged``        frames   files that are missing, unreadable, or no whole picture or mask
    ``sizes``          videos   frames of one stream of a video differ in size
    ``stream_sizes``   frames   streams differ in size
    ``mask_values``    masks    values of at least `mask_classes` that are not `ignore`
    ``mask_one_value`` streams  masks that hold one value besides `ignore`, as those of 0 and 255 do
    ``short``          videos   less than `time_steps` frames
    ``gaps``           videos   numbers in names of frames are missing; clips continue across them
    ``equal``          videos   the same pictures as an earlier video, byte for byte
    ``shared``         frames   pictures of another video, byte for byte, without those of equal videos
    ``empty``          folders  folders without frames (``fastclips check`` alone)
    ``classes``        classes  classes without a video
    ================== ======== ========================================================================

    Examples
    --------
    >>> checked = fc.check(fc.open({"image": "frames/", "mask": "masks/"}), mask_classes=4, workers=0)
    >>> print(checked)
    6 videos, 72 frames, ... MiB in ... s (... frames/s)
    mask, values of pixels: 0 (...%), ...
    <BLANKLINE>
    mask_values: 72 masks have values of no class (6 videos)
      .../masks/class_0/video_0/frame_00001.png
        has the values 4, 5, 6, 7, 8, ...
    ...
      and 69 more
    """
    run = Check(dataset, time_steps=time_steps, mask_classes=mask_classes)
    run.run(workers)
    return run.result()


class _Places:
    """The places of one kind of defect: all are counted, the first are kept."""

    def __init__(self, videos: int) -> None:
        self.count = 0
        self.videos = np.zeros(videos, bool)
        self.first: list[Problem] = []


class Check:
    """A check that may be interrupted; arguments as of `check`.

    Parameters
    ----------
    dataset, time_steps, mask_classes
        As of `check`.
    empty : sequence of str
        Folders without frames.
    """

    def __init__(
        self,
        dataset: Dataset,
        *,
        time_steps: int | None = None,
        mask_classes: int | None = None,
        empty: Sequence[str] = (),
    ) -> None:
        if not isinstance(dataset, Dataset):
            raise OptionError(f"dataset={dataset!r:.200}: must be what fastclips.open(folder) returns")
        self._dataset, self._empty = dataset, empty
        self._time_steps = None if time_steps is None else checked_int(time_steps, "time_steps", 1)
        self._mask_classes = (
            None if mask_classes is None else checked_int(mask_classes, "mask_classes", 1, _BYTE + 1)
        )
        masks = [stream.name for stream in dataset.streams if stream.mask]
        if mask_classes is not None and not masks:
            raise OptionError(f"mask_classes={mask_classes!r}: the dataset has no masks; leave it out")
        self._videos = StoredVideos.of(dataset.index)
        count = len(self._videos.keys)
        self._places = {kind: _Places(count) for kind in KINDS}
        self._begun = np.zeros(count, bool)
        self._looked = np.zeros(count, np.int64)  # frames of each video
        self._digested = np.zeros(count, np.int64)
        self._digests = array("Q")
        self._values = {name: np.zeros(_BYTE, np.int64) for name in masks}
        self._masks = dict.fromkeys(masks, 0)
        self._sizes: dict[tuple[str, tuple[int, int]], list[int]] = {}  # of the video that is looked at
        self._nbytes, self._seconds, self._complete = 0, 0.0, False

    def run(self, workers: int | None = None, *, show: bool = True) -> None:
        """Look at all frames; `show` is whether there is a progress bar at a terminal. Call this once."""
        workers = checked_workers(workers)
        began = monotonic()
        known = bool((self._videos.counts > 0).all())
        unit, total = (" frames", int(self._videos.counts.sum())) if known else (" videos", len(self._looked))
        try:
            with (
                tqdm(
                    total=total, desc="checking", unit=unit, disable=None if show else True, leave=False
                ) as bar,
                closing(self._look(workers)) as found,
            ):
                for seen in found:
                    self._add(seen)
                    bar.update(seen.frames if known else int(seen.run.last))
            self._complete = True
        finally:
            self._seconds = monotonic() - began

    def _look(self, workers: int) -> Generator[Seen]:
        """Yield what is seen, in the order of the videos and frames."""
        from fastclips.checking.looking import Job, Looker  # noqa: PLC0415 - imports OpenCV

        storage, names = self._dataset.storage, self._videos.names
        job = Job(storage, self._dataset.streams, self._videos.firsts, self._mask_classes)
        runs = self._videos.runs(2**62 if hasattr(storage, "open_video") else _RUN)
        if not workers:
            yield from map(Looker(job).look, runs)
            return
        yield from in_order(
            "fastclips.checking.looking:main",
            job,
            runs,
            workers,
            doing="checking",
            place=lambda run: names[run.video],
        )

    def _add(self, seen: Seen) -> None:
        """Count what was seen in a run, and let go of it."""
        video = seen.run.video
        self._begun[video] = True
        self._looked[video] += seen.frames
        self._nbytes += seen.nbytes
        for kind, places in (
            ("damaged", seen.damaged),
            ("stream_sizes", seen.unlike),
            ("mask_values", seen.strange),
        ):
            self._note_frames(kind, video, places)
        for key, (count, first) in seen.sizes.items():
            self._sizes.setdefault(key, [0, first])[0] += count
        for name, values in seen.values.items():
            self._values[name] += values
            self._masks[name] += seen.masks[name]
        self._digests.frombytes(seen.digests)
        self._digested[video] += len(seen.digests) // self._digests.itemsize
        if seen.run.last:
            self._end_video(video)
            if seen.gap:
                self._note("gaps", video, "frames are counted as they exist, so clips continue across gaps")

    def _end_video(self, video: int) -> None:
        """Note the sizes of a video whose frames have all been looked at."""
        for stream in self._dataset.streams:
            sizes = {size: at for (name, size), at in self._sizes.items() if name == stream.name}
            if len(sizes) > 1:
                shown = ", ".join(
                    f"{height}x{width} ({count:,} from {self._path(stream.name, video, first)} on)"
                    for (height, width), (count, first) in sizes.items()
                )
                self._note("sizes", video, f"{stream.name}: {shown}")
        self._sizes.clear()

    def _path(self, stream: str, video: int, frame: int) -> str:
        path = self._dataset.storage.where(stream, self._videos.keys.item(video), frame)
        return path.rpartition("/")[2]

    def _note_frames(self, kind: str, video: int, places: Iterable[Place]) -> None:
        for _, where, why in places:
            self._note(kind, video, why, where)

    def _note(self, kind: str, video: int | None, why: str, where: str | None = None) -> None:
        """Count a defect, and keep its place if there is room."""
        from fastclips.packing.parts import Problem  # noqa: PLC0415 - imports OpenCV

        places = self._places[kind]
        places.count += 1
        name = "" if video is None else self._videos.names[video]
        if video is not None:
            places.videos[video] = True
        if len(places.first) < _KEPT:
            places.first.append(Problem(name, name if where is None else where, why))

    def result(self) -> Checked:
        """Return what was found, also after an interrupt; call this once."""
        self._find_copies()
        self._find_useless_masks()
        self._find_short()
        for folder in self._empty:
            self._note("empty", None, "", folder)
        for name, (labels, classes) in self._dataset.index.every_label.items():
            self._find_unused(name, labels, classes)
        return Checked(
            videos=int(self._begun.sum()),
            frames=int(self._looked.sum()),
            bytes_read=self._nbytes,
            seconds=self._seconds,
            complete=self._complete,
            findings=[
                Finding(kind, places.count, int(places.videos.sum()), places.first)
                for kind, places in self._places.items()
                if places.count
            ],
            mask_values={
                name: {value: values.item(value) for value in np.flatnonzero(values).tolist()}
                for name, values in self._values.items()
            },
        )

    def sound_rows(self) -> NDArray[np.int64]:
        """Return the rows of the index that training can use; call it after `result`.

        Left out are videos that are damaged, of several sizes, too short or equal to an earlier one, or whose
        masks have values of no class.
        """
        bad = np.zeros(len(self._looked), bool)
        for kind in _BAD:
            bad |= self._places[kind].videos
        rows = bad[self._videos.of_row]
        if self._time_steps is not None:
            rows |= self._counts() < self._time_steps
        return np.flatnonzero(~rows)

    def _counts(self) -> NDArray[np.int64]:
        """Return the frames of each row; of video files, as many as there were."""
        counts = self._dataset.index.frame_counts
        return np.where(counts < 0, self._looked[self._videos.of_row], counts)

    def _find_short(self) -> None:
        if self._time_steps is None:
            return
        counts = self._counts()
        of_row = self._videos.of_row
        for row in np.flatnonzero((counts < self._time_steps) & (self._looked[of_row] > 0)).tolist():
            self._note("short", of_row.item(row), f"{counts[row]} of {self._time_steps} frames")

    def _find_unused(self, name: str, labels: object, classes: Sequence[str]) -> None:
        used = np.zeros(len(classes), bool)
        if isinstance(labels, OneClass):
            used[labels.numbers] = True
        elif isinstance(labels, SeveralClasses):
            for start, count in zip(labels.starts.tolist(), labels.counts.tolist(), strict=True):
                used[labels.numbers[start : start + count]] = True
        else:
            return
        for number in np.flatnonzero(~used).tolist():
            self._note("classes", None, f"class {number} of {name!r}", classes[number])

    def _find_useless_masks(self) -> None:
        total = int(self._looked.sum())
        for stream in self._dataset.streams:
            if stream.mask and self._masks[stream.name]:
                found = self._values[stream.name] > 0
                why = describe_useless(stream, found, self._masks[stream.name], total)
                if why is not None:
                    self._note("mask_one_value", None, why, stream.name)

    def _find_copies(self) -> None:
        """Note videos that equal an earlier one, and other pictures that several videos have."""
        digests = np.frombuffer(self._digests, np.uint64) if self._digests else np.empty(0, np.uint64)
        ends = np.cumsum(self._digested)
        first: dict[bytes, int] = {}
        copies = np.zeros(len(ends), bool)
        for video in np.flatnonzero((self._digested == self._looked) & (self._looked > 0)).tolist():
            own = digests[ends[video] - self._digested[video] : ends[video]]
            whole = blake2b(own.tobytes(), digest_size=16).digest()
            if (earlier := first.setdefault(whole, video)) != video:
                copies[video] = True
                self._note("equal", video, f"{len(own):,} frames, equal to {self._videos.names[earlier]}")
        of_video = np.repeat(np.arange(len(ends)), self._digested)
        kept = np.flatnonzero(~copies[of_video])
        if len(kept):
            self._note_shared(kept[np.argsort(digests[kept], kind="stable")], digests, of_video)

    def _note_shared(
        self, order: NDArray[np.int64], digests: NDArray[np.uint64], of_video: NDArray[np.int64]
    ) -> None:
        """Note pictures that several videos have; `order` sorts the digests, stably."""
        differs = np.diff(digests[order]) != 0
        begins = np.flatnonzero(np.concatenate([[True], differs]))
        lengths = np.diff(np.append(begins, len(order)))
        several = of_video[order[begins]] != of_video[order[begins + lengths - 1]]
        inside = np.repeat(several, lengths)
        earliest = np.repeat(order[begins], lengths)[inside]
        places = order[inside]
        found = self._places["shared"]
        for at in np.argsort(places)[:_KEPT].tolist():
            other, own = (self._where(digest, of_video) for digest in (earliest[at], places[at]))
            why = "the first of these" if other == own else f"equal to {other}"
            self._note("shared", int(of_video[places[at]]), why, own)
        found.count = len(places)
        found.videos[of_video[places]] = True

    def _where(self, digest: int, of_video: NDArray[np.int64]) -> str:
        """Return the path of the picture of a digest; the name of its video if others are damaged."""
        video = of_video.item(digest)
        if self._digested[video] != self._looked[video]:
            return self._videos.names[video]
        frame = int(digest) - int(self._digested[:video].sum()) + self._videos.firsts.item(video)
        picture = next(stream.name for stream in self._dataset.streams if not stream.mask)
        return self._dataset.storage.where(picture, self._videos.keys.item(video), frame)

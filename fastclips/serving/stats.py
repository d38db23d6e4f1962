"""Counts and times of a loader, and advice on its bottleneck."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastclips.cores import usable_cores

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MUCH", "Stats", "resident_bytes"]

MUCH = 0.05  # share of time that training may wait, or of frames, before advice is given
_SPARE = 1.1  # times the workers that would be busy all the time


@dataclass(frozen=True)
class Stats:
    """Totals of a loader since its first batch was asked for, from `ClipLoader.stats`.

    Times of workers are sums over workers. Printing gives a table and the `verdict`.

    Parameters
    ----------
    seconds : float
        Wall time from the first request to the last batch.
    clips, frames, bytes_read : int
        Clips, frames and bytes that workers have finished, batches in flight included.
    frames_served : int
        Frames in the batches that were served.
    read_s, decode_s, kernel_s : float
        Seconds that workers spent on reading files; decoding; and resampling, cropping and pixel steps. A
        plain crop happens during decoding and counts as decoding.
    idle_s : float
        Seconds that workers waited for work.
    waited_s : float
        Seconds that the consumer waited for batches, `start_s` included.
    workers : int
        Worker processes; 0 if the calling process renders.
    resident_bytes : int
        Memory of trainer, nursery and workers; shared pages count once (PSS).
    sliced_frames : int
        JPEGs of all streams that were decoded in part, from the restart marker before the needed blocks on.
    cropped_frames : int
        JPEGs without usable restart markers that were decoded in part, after reading all codes before the
        needed blocks.
    whole_frames : int
        JPEGs and usual PNGs decoded whole.
    pillow_frames : int
        Frames decoded by Pillow or OpenCV: other formats, and unusual PNGs.
    skipped : float
        Share of all frames' pixels that were not decoded.
    damaged_frames : int
        Distinct damaged frames that were replaced in the batches served.
    movie_frames : int
        Frames decoded from video files. Decoding them includes reading them.
    cache_hits : int
        Frames of all streams that were taken from the cache of decoded frames, so that they were neither
        read nor decoded.
    cache_fills : int
        Frames of all streams that were decoded into the cache.
    cache_bytes : int
        Memory of the frames in the cache.
    cache_evictions : int
        Frames that gave up their place in the cache to another one.
    cache_lost : int
        Frames that the cache had no room to keep until they were shown again.
    cache_advice : str
        A sentence on how fewer frames would be decoded; empty if the cache keeps nearly all that it could.
    ahead_clips : int
        Clips of a remote pack whose bytes had been read ahead. Workers read those of all other clips.
    ahead_bytes : int
        Bytes that were read ahead.
    fetcher_restarts : int
        Processes that read ahead, died and were replaced.
    start_s : float
        Seconds until the first batch, while the workers start; 0 without workers.
    worker_states : tuple of str
        What each worker does at this moment, in words, such as ``"waits for work"``.

    Examples
    --------
    >>> loader = fc.ClipLoader(fc.open("frames/"), fc.Windows(4), batch_size=8, workers=0)
    >>> batches = list(loader)
    >>> stats = loader.stats()
    >>> stats.clips, stats.frames_served, stats.workers
    (18, 72, 0)
    """

    seconds: float
    clips: int
    frames: int
    bytes_read: int
    frames_served: int
    read_s: float
    decode_s: float
    kernel_s: float
    idle_s: float
    waited_s: float
    workers: int
    resident_bytes: int
    sliced_frames: int = 0
    cropped_frames: int = 0
    whole_frames: int = 0
    pillow_frames: int = 0
    skipped: float = 0.0
    damaged_frames: int = 0
    movie_frames: int = 0
    cache_hits: int = 0
    cache_fills: int = 0
    cache_bytes: int = 0
    cache_evictions: int = 0
    cache_lost: int = 0
    cache_advice: str = ""
    ahead_clips: int = 0
    ahead_bytes: int = 0
    fetcher_restarts: int = 0
    start_s: float = 0.0
    worker_states: tuple[str, ...] = ()

    @classmethod
    def of(cls, counters: Mapping[str, float], **measured: Any) -> Stats:  # noqa: ANN401 - the other fields
        """Return the totals of workers' counters.

        Parameters
        ----------
        counters : mapping of str to float
            Sum over workers of each of `fastclips.engine.arena.COUNTERS`.
        **measured
            The other fields.
        """
        return cls(
            clips=int(counters["clips"]),
            frames=int(counters["frames"]),
            bytes_read=int(counters["bytes"]),
            read_s=counters["read_s"],
            decode_s=counters["decode_s"],
            kernel_s=counters["kernel_s"],
            idle_s=counters["wait_s"],
            sliced_frames=int(counters["sliced"]),
            cropped_frames=int(counters["cropped"]),
            whole_frames=int(counters["whole"]),
            pillow_frames=int(counters["pillow"]),
            movie_frames=int(counters["movie_frames"]),
            cache_hits=int(counters["held"]),
            cache_fills=int(counters["filled"]),
            ahead_clips=int(counters["ahead"]),
            skipped=1 - counters["decoded_pixels"] / counters["pixels"] if counters["pixels"] else 0.0,
            **measured,
        )

    @property
    def frames_per_s(self) -> float:
        """Frames served per second of wall time."""
        return self.frames_served / self.seconds if self.seconds else 0.0

    @property
    def decoded_frames(self) -> int:
        """Frames of all streams that workers decoded, whole or in part."""
        rungs = self.sliced_frames + self.cropped_frames + self.whole_frames + self.pillow_frames
        return rungs + self.movie_frames

    @property
    def decodes_per_frame(self) -> float:
        """Share of the frames of all streams that were decoded; the others came from the cache.

        1 without a cache, or a little less, as a clip that shows a frame twice decodes it once.
        """
        total = self.decoded_frames + self.cache_hits
        return self.decoded_frames / total if total else 0.0

    @property
    def waiting(self) -> float:
        """Share of the time since the first batch that the consumer waited for batches, from 0 to 1."""
        seconds, waited_s = self.seconds - self.start_s, self.waited_s - self.start_s
        return min(1.0, max(0.0, waited_s / seconds)) if seconds > 0 else 0.0

    @property
    def suggested_workers(self) -> int:
        """A number of workers that would keep pace with the consumer; `workers` where that does as well.

        It follows from the work measured and from the time that the consumer needs without waiting. More than
        the cores of this rank are only suggested where reading is the limit. Fewer are suggested from half of
        `workers` down, if the consumer hardly waits.
        """
        parts = (self.read_s, self.decode_s, self.kernel_s)
        busy, pace = sum(parts), self.seconds - self.waited_s
        if not self.frames_served or not busy:
            return self.workers
        most = usable_cores(shared=True) * (4 if max(parts) == self.read_s else 1)
        needed = most if busy >= most * pace else max(1, min(most, math.ceil(_SPARE * busy / pace)))
        if self.waiting >= MUCH:
            return self.workers if self.idles else max(self.workers, needed)
        return needed if 0 < needed <= self.workers // 2 else self.workers

    @property
    def idles(self) -> bool:
        """Whether workers waited for work longer than they worked."""
        return self.workers > 0 and self.idle_s > self.read_s + self.decode_s + self.kernel_s

    @property
    def verdict(self) -> str:
        """One sentence, for video files two: the bottleneck, and what to change."""
        if not self.frames_served:
            return "no batch has been served yet."
        if self.start_s > self.seconds / 2:
            return "the run was so short that most of it was spent starting the workers."
        parts = {"reading": self.read_s, "decoding": self.decode_s, "resampling and cropping": self.kernel_s}
        limit = max(parts, key=parts.__getitem__)
        busy = sum(parts.values())
        video = ""
        if self.movie_frames and busy:
            video = (
                f" Decoding video takes {self.decode_s / busy:.0%} of the workers' time: `fastclips bench` "
                "on the videos measures how much faster a pack of their frames is."
            )
        cache = ""
        if limit == "decoding" and self.cache_advice:
            cache = f" {self.cache_advice}"
        return f"training waits for data {self.waiting:.0%} of the time: {self._advice(limit)}.{video}{cache}"

    def _advice(self, limit: str) -> str:
        """Return what to change, where the part of the work that takes longest is known."""
        better, cores = self.suggested_workers, usable_cores(shared=True)
        if self.waiting < MUCH:
            fewer = f"; workers={better} would be enough" if better < self.workers else ""
            return f"the data is not the limit{fewer}"
        if self.idles:
            return (
                "the workers wait too, so the training process is the limit; give it more CPU time, or a "
                "larger memory="
            )
        if self.workers == 0:
            return f"{limit} in its own process is the limit; set workers={better}"
        more = f"set workers={better} instead of {self.workers}" if better > self.workers else "add workers"
        if limit == "reading":
            return (
                f"reading from the store is the limit; {more}, as more reads are then in flight, or keep "
                "what was read, by fastclips.open(url, local=folder)"
                if self.ahead_bytes
                else f"reading is the limit; {more}, or move the data to a faster disk"
            )
        if self.workers < cores:
            return f"{limit} is the limit; {more} ({cores} cores)"
        return f"{limit} is the limit on {cores} cores; use more cores or smaller frames"

    def __str__(self) -> str:
        busy = self.read_s + self.decode_s + self.kernel_s
        started = f"{self.start_s:.2f} s of it while the workers started" if self.start_s else ""
        rows = [
            ("frames/s", f"{self.frames_per_s:,.0f}", f"{self.frames_served:,} in {self.seconds:.1f} s"),
            ("reading", f"{self.read_s:.2f} s", f"{self.bytes_read / 2**20:,.1f} MiB"),
            ("decoding", f"{self.decode_s:.2f} s", f"{self.frames:,} frames"),
            ("kernels", f"{self.kernel_s:.2f} s", "resample, cast, pixel steps"),
            ("workers idle", f"{self.idle_s:.2f} s", f"{self.workers} workers, busy {busy:.2f} s"),
            ("consumer waits", f"{self.waited_s:.2f} s", started),
            ("memory", f"{self.resident_bytes / 2**20:,.0f} MiB", "all processes"),
        ]
        rungs = [
            ("  by slices", self.sliced_frames, "in part, by restart markers"),
            ("  cropped", self.cropped_frames, "in part; a pack with restart markers is faster"),
            ("  whole", self.whole_frames, ""),
            ("  by Pillow", self.pillow_frames, "other formats, slower than JPEG and PNG"),
            ("  of videos", self.movie_frames, "decoded from video files; a pack is faster"),
        ]
        shown = [(name, f"{frames:,}", note) for name, frames, note in rungs if frames]
        if self.cache_hits:
            memory = f"{self.cache_bytes / 2**20:,.0f} MiB, {self.cache_evictions:,} evictions"
            note = f"not decoded again: {self.decodes_per_frame:.2f} decodes per frame; {memory}"
            shown.append(("  from cache", f"{self.cache_hits:,}", note))
        if self.ahead_bytes:
            note = f"of {self.clips:,} clips; {self.ahead_bytes / 2**20:,.1f} MiB"
            shown.append(("  read ahead", f"{self.ahead_clips:,}", note))
        if self.skipped:
            shown.append(("  not decoded", f"{self.skipped:.0%}", "of all pixels"))
        if self.damaged_frames:
            shown.append(("  replaced", f"{self.damaged_frames:,}", "damaged; loader.damaged lists them"))
        rows[3:3] = shown
        lines = [f"{name:<15}{value:>12}  {note}".rstrip() for name, value, note in rows]
        return "\n".join([*lines, self.verdict])


def resident_bytes(pids: list[int]) -> int:
    """Return the sum of the proportional set sizes of processes, in bytes; ended processes count 0."""
    total = 0
    for pid in pids:
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii")
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
    return total * 1024

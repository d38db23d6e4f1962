"""What a loader has done, what it took, and what to change."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Stats", "resident_bytes"]

_ENOUGH = 0.05  # a share of time worth a sentence


@dataclass(frozen=True)
class Stats:
    """Totals of a loader since its first batch was asked for. Seconds of workers add up over workers.

    Parameters
    ----------
    seconds : float
        Wall time from the first request to the last batch.
    clips, frames, bytes_read : int
        What the workers have finished, batches prepared ahead included.
    frames_served : int
        Frames in the batches that were delivered.
    read_s, decode_s, kernel_s : float
        Time of workers in reading files, decoding, and resampling, cropping and casting. What is nothing but
        a crop is copied while it is decoded, and counts as that.
    idle_s : float
        Time of workers waiting for something to do.
    waited_s : float
        Time that the consumer waited for batches.
    workers : int
        Processes; 0 if the consumer's own does the work.
    resident_bytes : int
        Memory of trainer, nursery and workers; shared pages count once (PSS).
    sliced_frames : int
        JPEGs of all streams of which only the blocks around what is needed were decoded, from the restart
        markers before them on.
    cropped_frames : int
        JPEGs without usable restart markers, of which only the blocks around what is needed were decoded,
        and the codes before them passed.
    whole_frames : int
        JPEGs decoded whole.
    pillow_frames : int
        Frames that Pillow decoded: those that are no JPEG.
    skipped : float
        Share of all frames' pixels that were not decoded.
    damaged_frames : int
        Different frames that were replaced in the batches delivered, since they could not be read or decoded.
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

    @classmethod
    def of(cls, counters: Mapping[str, float], **measured: Any) -> Stats:  # noqa: ANN401 - the other fields
        """Read what the workers have counted.

        Parameters
        ----------
        counters : mapping of str to float
            The sum over workers of each of `fastclips.engine.arena.COUNTERS`.
        **measured
            What else there is to say.

        Returns
        -------
        Stats
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
            skipped=1 - counters["decoded_pixels"] / counters["pixels"] if counters["pixels"] else 0.0,
            **measured,
        )

    @property
    def frames_per_s(self) -> float:
        """Frames delivered per second of wall time."""
        return self.frames_served / self.seconds if self.seconds else 0.0

    @property
    def verdict(self) -> str:
        """One sentence: what limits training, and what to change."""
        if not self.frames_served:
            return "no batch has been served yet."
        waits = min(1.0, self.waited_s / self.seconds)
        parts = {"reading": self.read_s, "decoding": self.decode_s, "resampling and cropping": self.kernel_s}
        limit = max(parts, key=parts.__getitem__)
        cores = len(os.sched_getaffinity(0))
        if waits < _ENOUGH:
            advice = "the data is not the limit"
        elif self.workers == 0:
            advice = f"{limit} in its own process is the limit; set workers={cores}"
        elif self.idle_s > sum(parts.values()):
            advice = "the workers wait more than they work, so starting and stopping is the limit"
        elif limit == "reading":
            advice = "reading is the limit; add workers, or move the data to a faster disk"
        elif self.workers < cores:
            advice = f"{limit} is the limit; add workers ({self.workers} for {cores} cores)"
        else:
            advice = f"{limit} is the limit on {cores} cores; use more cores or smaller frames"
        return f"training waits for data {waits:.0%} of the time: {advice}."

    def __str__(self) -> str:
        busy = self.read_s + self.decode_s + self.kernel_s
        rows = [
            ("frames/s", f"{self.frames_per_s:,.0f}", f"{self.frames_served:,} in {self.seconds:.1f} s"),
            ("reading", f"{self.read_s:.2f} s", f"{self.bytes_read / 2**20:,.1f} MiB"),
            ("decoding", f"{self.decode_s:.2f} s", f"{self.frames:,} frames"),
            ("kernels", f"{self.kernel_s:.2f} s", "resample, cast, pixel steps"),
            ("workers idle", f"{self.idle_s:.2f} s", f"{self.workers} workers, busy {busy:.2f} s"),
            ("consumer waits", f"{self.waited_s:.2f} s", ""),
            ("memory", f"{self.resident_bytes / 2**20:,.0f} MiB", "all processes"),
        ]
        ways = [
            ("  by slices", self.sliced_frames, "around what is needed, by restart markers"),
            ("  cropped", self.cropped_frames, "around what is needed; a pack has restart markers"),
            ("  whole", self.whole_frames, ""),
            ("  no JPEG", self.pillow_frames, "frames and masks, slower than JPEG"),
        ]
        shown = [(name, f"{frames:,}", note) for name, frames, note in ways if frames]
        if self.skipped:
            shown.append(("  not decoded", f"{self.skipped:.0%}", "of all pixels"))
        if self.damaged_frames:
            shown.append(("  replaced", f"{self.damaged_frames:,}", "damaged; loader.damaged lists them"))
        rows[3:3] = shown
        lines = [f"{name:<15}{value:>12}  {note}".rstrip() for name, value, note in rows]
        return "\n".join([*lines, self.verdict])


def resident_bytes(pids: list[int]) -> int:
    """Return the memory of processes, shared pages counted once.

    Parameters
    ----------
    pids : list of int
        Processes; those that are gone count nothing.

    Returns
    -------
    int
        Sum of their proportional set sizes in bytes.
    """
    total = 0
    for pid in pids:
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii")
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
    return total * 1024

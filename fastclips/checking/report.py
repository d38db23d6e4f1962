"""What a check has found: a table for people, a dict for programs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fastclips.serving.report import example_lines, wrapped

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastclips.packing.parts import Problem

__all__ = ["KINDS", "Checked", "Finding"]

KINDS = {  # the unit, and what is said of one and of several
    "damaged": ("frame", "cannot be read or decoded", "cannot be read or decoded"),
    "sizes": ("video", "has frames of several sizes", "have frames of several sizes"),
    "stream_sizes": ("frame", "has another size in another stream", "have another size in another stream"),
    "mask_values": ("mask", "has values of no class", "have values of no class"),
    "mask_one_value": ("stream", "of masks has one value alone", "of masks have one value alone"),
    "short": ("video", "is too short", "are too short"),
    "gaps": ("video", "lacks numbers of frames", "lack numbers of frames"),
    "equal": ("video", "equals an earlier video", "equal earlier videos"),
    "shared": ("frame", "is in another video too", "are in other videos too"),
    "empty": ("folder", "holds no frames", "hold no frames"),
    "classes": ("class", "has no video", "have no video"),
}
SCHEMA = 1  # of `Checked.to_dict`; raised when a key changes its meaning or goes
_SHOWN = 3  # examples in the table
_VALUES = 8  # of masks in the table


@dataclass(frozen=True)
class Finding:
    """Defects of one kind.

    Parameters
    ----------
    kind : str
        The kind, as in the table of `check`.
    count : int
        How many frames, videos, masks, folders, classes or streams have it.
    videos : int
        How many videos these are of; 0 if they are of no video.
    examples : list of Problem
        The first 1,000, as named tuples (video, where, why): the name of the video, or "", the path or name,
        and what is wrong.

    Examples
    --------
    >>> print(fc.Finding("short", count=2, videos=2, examples=[]))
    short: 2 videos are too short
    """

    kind: str
    count: int
    videos: int
    examples: list[Problem] = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields, and `what` and `unit` in words, as JSON-ready values."""
        unit, one, several = KINDS[self.kind]
        return {
            "kind": self.kind,
            "count": self.count,
            "unit": unit,
            "what": one if self.count == 1 else several,
            "videos": self.videos,
            "examples": [dict(example._asdict()) for example in self.examples],
        }

    def __str__(self) -> str:
        unit, one, several = KINDS[self.kind]
        number = f"1 {unit} {one}" if self.count == 1 else f"{self.count:,} {_plural(unit)} {several}"
        of = f" ({_counted(self.videos, 'video')})" if self.videos and unit in ("frame", "mask") else ""
        places = [(example.where, example.why) for example in self.examples]
        return "\n".join([f"{self.kind}: {number}{of}", *example_lines(places, self.count, _SHOWN)])


@dataclass(frozen=True)
class Checked:
    """The result of `check`; ``print`` it for a table.

    Parameters
    ----------
    videos, frames : int
        Numbers of videos and frames that were looked at; a frame of several streams counts once.
    bytes_read : int
        Bytes of these frames.
    seconds : float
        Time that it took.
    complete : bool
        Whether all frames were looked at.
    findings : list of Finding
        One for each kind of defect that was found.
    mask_values : dict of str to dict of int to int
        Number of pixels of each value, for each stream of masks, after the dataset's `values`.

    Examples
    --------
    >>> checked = fc.check(fc.open("frames/"), workers=0)
    >>> checked.videos, checked.frames, checked.findings
    (6, 72, [])
    """

    videos: int
    frames: int
    bytes_read: int
    seconds: float
    complete: bool
    findings: list[Finding]
    mask_values: Mapping[str, Mapping[int, int]]

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON-ready values; `docs/checking.md` has the schema.

        Returns
        -------
        dict
            ``schema``, 1; the fields, where the values of masks are texts; and ``frames_per_s``.

        Examples
        --------
        >>> import json
        >>> found = fc.check(fc.open("frames/"), time_steps=16, workers=0).to_dict()
        >>> [(finding["kind"], finding["count"]) for finding in found["findings"]]
        [('short', 6)]
        >>> json.loads(json.dumps(found)) == found
        True
        """
        return {
            "schema": SCHEMA,
            "complete": self.complete,
            "videos": self.videos,
            "frames": self.frames,
            "bytes_read": self.bytes_read,
            "seconds": round(self.seconds, 3),
            "frames_per_s": round(self._rate, 1),
            "findings": [finding.to_dict() for finding in self.findings],
            "mask_values": {
                stream: {str(value): pixels for value, pixels in values.items()}
                for stream, values in self.mask_values.items()
            },
        }

    @property
    def _rate(self) -> float:
        return self.frames / self.seconds if self.seconds else 0.0

    def __str__(self) -> str:
        head = (
            f"{_counted(self.videos, 'video')}, {_counted(self.frames, 'frame')}, "
            f"{self.bytes_read / 2**20:,.1f} MiB in {self.seconds:.1f} s ({self._rate:,.0f} frames/s)"
        )
        lines = [head, *(_shares(stream, values) for stream, values in self.mask_values.items())]
        for finding in self.findings:
            lines += ["", str(finding)]
        if not self.complete:
            lines += ["", "The check was interrupted: frames after these were not looked at."]
        elif not self.findings:
            lines.append("Nothing was found.")
        return "\n".join(lines)


def _shares(stream: str, values: Mapping[int, int]) -> str:
    """Return the values of masks and their shares of the pixels, as one line."""
    total = max(sum(values.values()), 1)
    shown = [f"{value} ({pixels / total:.1%})" for value, pixels in values.items()]
    more = f" and {len(shown) - _VALUES} more" if len(shown) > _VALUES else ""
    text = f"{stream}, values of pixels: {', '.join(shown[:_VALUES])}{more}"
    return "\n".join(wrapped(text, further="  "))


def _counted(number: int, unit: str) -> str:
    return f"{number:,} {unit if number == 1 else _plural(unit)}"


def _plural(unit: str) -> str:
    return f"{unit}es" if unit.endswith("s") else f"{unit}s"

"""The usual clip: one stream of pictures, whose map is a crop. It has no objects but its files and its crop.

Between two clips, decoding has filled the CPU's caches with other things, so each object and each function
of Python takes several times as long as in a loop. `PlainClips` uses few. What is unusual in any way, it
leaves to the renderer, which begins the clip anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from fastclips._native import Crop, Files
from fastclips.data.storage import opened
from fastclips.engine.clip_crops import LAST_RUNG, bits_of, count_marks, rows_of
from fastclips.engine.rendering import BYTES, DECODE, READ
from fastclips.errors import FrameError
from fastclips.pixels.geometry.regions import Source

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from fastclips.engine.clip_placer import StreamSetup
    from fastclips.engine.clip_spec import ClipSpec
    from fastclips.engine.rendering import Meter
    from fastclips.pixels.geometry.plain_crops import PlainCrops

__all__ = ["PlainClips"]

_PATIENCE, _COST = 16, 4  # failures cost more than successes give back, until none is tried any more


class PlainClips:
    """Renders usual clips of a spec for which `of` returned this.

    Parameters
    ----------
    spec : ClipSpec
        The spec, of one stream.
    setup : StreamSetup
        Its stream.
    crops : PlainCrops
        Its geometry.
    bypass_cache : bool
        As for `fastclips.pixels.geometry.kernels.crop`.
    """

    def __init__(self, spec: ClipSpec, setup: StreamSetup, crops: PlainCrops, *, bypass_cache: bool) -> None:
        self._storage, self._setup, self._crops = spec.storage, setup, crops
        self._name, self._time_steps = setup.stream.name, spec.time_steps
        self._rows = list(range(spec.time_steps))
        self._options: dict[str, Any] = {"bypass_cache": bypass_cache, "channels_first": setup.channels_first}
        if setup.table is not None:
            self._options["table"] = bits_of(setup.table)
        self._patience = _PATIENCE

    @classmethod
    def of(cls, spec: ClipSpec, setups: Sequence[StreamSetup], *, bypass_cache: bool) -> Self | None:
        """Return this for a spec whose clips may be usual, else None."""
        if len(setups) != 1 or spec.weighting is not None:
            return None
        (setup,) = setups
        crops = setup.recipe.plain_crops
        by_table = setup.pixel_steps is None or setup.table is not None
        if crops is None or not by_table or not setup.scaled or setup.recipe.columns is not None:
            return None
        return cls(spec, setup, crops, bypass_cache=bypass_cache)

    def render(self, ticket: np.void, row: Mapping[str, NDArray[Any]], meter: Meter) -> bool:
        """Write a clip if it is usual.

        Parameters
        ----------
        ticket, row
            As for `Renderer.render`.
        meter : Meter
            Takes the time, and what was done.

        Returns
        -------
        bool
            Whether the clip was written. If not, its row holds anything.
        """
        frames: list[int] = ticket["frames"][: self._time_steps].tolist()
        if self._patience <= 0 or min(frames) < 0 or len({*frames}) < len(frames):
            return False  # padding, or frames that are shown again
        done = self._write(int(ticket["video"]), frames, ticket["draws"].tolist(), row[self._name], meter)
        if done:
            meter.add_clip(len(frames))
            self._patience = min(self._patience + 1, _PATIENCE)
        else:
            self._patience -= _COST
        return done

    def _write(
        self, video: int, frames: list[int], draws: list[float], output: NDArray[Any], meter: Meter
    ) -> bool:
        decoder = self._setup.decoder
        meter.begin(READ)
        try:
            files = opened(self._storage).read_many(self._name, video, frames)
            if not isinstance(files, Files):
                return False
            size = decoder.size(files[0])
        except FrameError:
            return False
        found = self._crops.find(*size, draws)
        if found is None:
            return False
        box, mirrored, flipped = found
        if (box[2] - box[0], box[3] - box[1]) != self._setup.size:
            return False
        crop = Crop(size, box, mirrored=mirrored, flipped=flipped, **self._options)
        meter.lap(READ)
        meter.begin(DECODE)
        marks = decoder.decode_crops(files, self._rows, crop, rows_of(output))
        if max(marks) > LAST_RUNG:
            return False
        meter.add(BYTES, files.nbytes)
        count_marks(marks, size, Source(*box), 1, meter)
        meter.lap(DECODE)
        return True

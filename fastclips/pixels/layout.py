"""What a batch of a dataset looks like: the shape of each array, from options and a look at the frames.

The size of a frame is known only from the frame. Where a transform fixes what comes out, the first one tells
all there is to know. Otherwise a few videos are looked at, so that mixed sizes are found before training
begins and not in the middle of it; what they miss is found by the worker that meets it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastclips.errors import FrameError, OptionError
from fastclips.pixels.decode import frame_size
from fastclips.spec import WEIGHT, Field, SlotLayout

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fastclips.data.index import Dataset
    from fastclips.pixels.transforms import Recipe
    from fastclips.spec import Weighting

__all__ = ["LABEL", "find_layout"]

LABEL = "label"  # the target that is no stream
_PROBED = 32  # videos whose first frame is measured where no transform fixes the size


def find_layout(
    dataset: Dataset,
    recipe: Recipe,
    time_steps: int,
    batch_size: int,
    names: Iterable[str],
    weighting: Weighting | None = None,
) -> SlotLayout:
    """Find the arrays of a batch by looking at a frame.

    Parameters
    ----------
    dataset : Dataset
        What frames there are.
    recipe : Recipe
        What becomes of them.
    time_steps, batch_size : int
        Frames in a clip, clips in a batch.
    names : iterable of str
        Inputs and targets; `LABEL` has no array here.
    weighting : Weighting, optional
        Weights of the pixels of one of these, a mask.

    Returns
    -------
    SlotLayout
        One field for each stream among the names, and `WEIGHT` last if there is a weighting.

    Raises
    ------
    OptionError
        If a name is no stream, a crop is larger than a frame, frames come out in different sizes, a pixel
        step does not suit a picture's channels, or the weighting is of no mask among the names.
    FrameError
        If a frame that is looked at cannot be read.
    """
    streams = {stream.name: stream for stream in dataset.streams}
    wanted = dict.fromkeys(name for name in names if name != LABEL)
    unknown = [name for name in wanted if name not in streams]
    if unknown:
        raise OptionError(
            f"{unknown[0]!r} in inputs or targets is no stream of this dataset; it has "
            f"{', '.join(map(repr, streams))} and, as a target, {LABEL!r}"
        )
    if weighting is not None and (weighting.stream not in wanted or not streams[weighting.stream].mask):
        raise OptionError(
            f"pixels of {weighting.stream!r} cannot be weighted: it is no mask among the inputs and targets, "
            f"which are {', '.join(map(repr, wanted))}"
        )
    height, width = _output_size(dataset, recipe, next(iter(wanted)))
    fields = []
    for name in wanted:
        if streams[name].mask:
            fields.append(Field(name, (time_steps, height, width), "uint8"))
        else:
            channels = streams[name].channels
            recipe.compiled(channels)  # refuses what does not suit them
            shape = (channels, height, width) if recipe.channels_first else (height, width, channels)
            fields.append(Field(name, (time_steps, *shape), recipe.dtype))
    if weighting is not None:
        fields.append(Field(WEIGHT, (time_steps, height, width), "float32"))
    return SlotLayout(batch_size, tuple(fields))


def _output_size(dataset: Dataset, recipe: Recipe, stream: str) -> tuple[int, int]:
    """Measure the first frame, and more of them if the output depends on their size."""
    probes = 1 if recipe.fixes_size else min(_PROBED, len(dataset))
    found: dict[tuple[int, int], str] = {}
    for row in np.linspace(0, len(dataset) - 1, probes).astype(int):
        video = int(dataset.index.keys[row])
        frame = int(dataset.index.starts[row])
        where = dataset.storage.where(stream, video, frame)
        try:
            size = frame_size(dataset.storage.read(stream, video, frame))
            geometry = recipe.geometry(*size, [0.0] * recipe.draws)
        except FrameError as error:
            raise error if where in str(error) else FrameError(f"{where}: {error}") from None
        except OptionError as error:
            raise OptionError(f"{error} (first frame: {where})") from None
        found.setdefault((geometry.y.size, geometry.x.size), where)
    if len(found) > 1:
        (first, a), (second, b) = list(found.items())[:2]
        raise OptionError(
            f"frames come out in mixed sizes, {first[0]}x{first[1]} (height x width; {a}) and "
            f"{second[0]}x{second[1]} ({b}): add a transform that fixes the size, such as RandomCrop(224) or "
            "Resize((256, 340))"
        )
    return next(iter(found))

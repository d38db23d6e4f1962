"""What a batch of a dataset looks like: the shape of each array, from options and a look at the frames.

The size of a frame is known only from the frame. Where a transform fixes what comes out, the first one tells
all there is to know. Otherwise a few videos are looked at, so that mixed sizes are found before training
begins and not in the middle of it; what they miss is found by the worker that meets it.

What a user's function makes of a clip is known only from calling it, so it is called here, once.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from fastclips.errors import DamageError, FrameError, OptionError
from fastclips.pixels.decoding.decoder import Decoder, frame_size
from fastclips.pixels.steps.compiled import try_functions
from fastclips.spec import WEIGHT, Field, SlotLayout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TypeVar

    from numpy.typing import NDArray

    from fastclips.data.index import Dataset
    from fastclips.pixels.decoding.decoder import Stored
    from fastclips.pixels.geometry.affine import Border
    from fastclips.pixels.recipe import Recipe
    from fastclips.pixels.steps.base import Trial
    from fastclips.spec import Stream, Weighting

    Seen = TypeVar("Seen")

__all__ = ["LABEL", "find_layout"]

LABEL = "label"  # the target that is no stream
_PASSED = 10_000  # damaged frames, on the way to one that is not
_PROBED = 32  # videos whose first frame is measured where no transform fixes the size


def find_layout(
    dataset: Dataset,
    recipe: Recipe,
    time_steps: int,
    batch_size: int,
    names: Iterable[str],
    weighting: Weighting | None = None,
    *,
    passes_damaged: bool = False,
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
    passes_damaged : bool
        Whether to look at the next frame where one is missing or damaged, 10,000 times at most.

    Returns
    -------
    SlotLayout
        One field for each stream among the names, and `WEIGHT` last if there is a weighting.

    Raises
    ------
    OptionError
        If a name is no stream, a crop is larger than a frame, frames come out in different sizes, a pixel
        step does not suit a picture's channels or size or what a function returned, or the weighting is of no
        mask among the names.
    FrameError
        If a frame that is looked at cannot be read, or a function of the user's fails on it.
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
    if recipe.mask_pairs and not any(stream.mask for stream in streams.values()):
        raise OptionError(
            f"RandomFlip's mask_map={dict(recipe.mask_pairs)} swaps values of masks, but this dataset has no "
            "masks"
        )
    most = 1 + passes_damaged * _PASSED
    height, width = _output_size(dataset, recipe, next(iter(wanted)), most)
    fields = []
    for name in wanted:
        if streams[name].mask:
            _check_swapped(recipe, streams[name])
            fields.append(Field(name, (time_steps, height, width), "uint8"))
        else:
            placed = (time_steps, height, width, streams[name].channels)
            trials: tuple[Trial, ...] = ()
            if recipe.has_functions:
                trials = _try_functions(dataset, recipe, streams[name], placed, most)
            fields.append(_picture_field(recipe, name, placed, trials))
    if weighting is not None:
        fields.append(Field(WEIGHT, (time_steps, height, width), "float32"))
    return SlotLayout(batch_size, tuple(fields))


def _picture_field(recipe: Recipe, name: str, placed: tuple[int, ...], trials: tuple[Trial, ...]) -> Field:
    """Return the array of a stream of pictures that the geometry places in clips of a shape."""
    steps = recipe.compiled(placed[-1], trials)
    shape, dtype = (placed, "uint8") if steps is None else (steps.shape(placed), steps.dtype)
    if shape != placed and recipe.border.fill == "constant":
        raise OptionError(
            f"fill='constant' fills what lies outside the frame after all pixel steps, but a function makes "
            f"{shape} of clips of {placed}: give another fill"
        )
    _check_filled(recipe.border, dtype)
    if recipe.moves_channels(shape):
        shape = (shape[0], shape[3], *shape[1:3])
    return Field(name, shape, dtype, trials)


def _check_filled(border: Border, dtype: str) -> None:
    value = np.array(border.value)
    if border.fill == "constant" and np.any(value.astype(dtype) != value):
        raise OptionError(
            f"fill_value={border.value} is no number of {dtype}, which a function makes of clips: give "
            "another one, or another fill"
        )


def _try_functions(
    dataset: Dataset, recipe: Recipe, stream: Stream, placed: tuple[int, ...], most: int
) -> tuple[Trial, ...]:
    """Call the user's functions once, on a clip that shows the first video's first frame at every step."""
    pixels, where = _look(dataset, stream.name, 0, lambda data: Decoder(stream).decode(data).pixels, most)
    try:
        return try_functions(recipe.steps, stream.channels, _still_clip(recipe, pixels, placed))
    except FrameError as error:
        raise FrameError(f"{where}: {error}") from error.__cause__


def _still_clip(recipe: Recipe, pixels: NDArray[np.uint8], placed: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return a clip of one frame."""
    from fastclips.pixels.geometry.placing import make_placer  # noqa: PLC0415 - numba, only where it is needed

    geometry = recipe.geometry(pixels.shape[0], pixels.shape[1], [0.0] * recipe.draws)
    if (geometry.y.size, geometry.x.size) != placed[1:3]:
        raise FrameError("comes out in another size than the first stream, but all must have one")
    clip = np.empty(placed, np.uint8)
    make_placer(geometry, pixels.shape, recipe.border.fill)(pixels, clip[0])
    clip[1:] = clip[0]
    return clip


def _check_swapped(recipe: Recipe, stream: Stream) -> None:
    for pair in recipe.mask_pairs:
        if stream.ignore in pair:
            raise OptionError(
                f"RandomFlip's mask_map swaps {stream.ignore}, which in {stream.name!r} means that there is "
                "nothing to learn: leave it out, or open the dataset with another ignore="
            )


def _look(
    dataset: Dataset, stream: str, row: int, see: Callable[[Stored], Seen], most: int
) -> tuple[Seen, str]:
    """Look at the first frame from a video on that is not damaged, of so many; say where it lies."""
    index, storage = dataset.index, dataset.storage
    places = (
        (index.keys.item(at), index.starts.item(at) + frame)
        for at in range(row, len(index.keys))
        for frame in range(index.frame_counts.item(at))
    )
    first: FrameError | None = None
    for video, frame in islice(places, most):
        where = storage.where(stream, video, frame)
        try:
            data = storage.read(stream, video, frame)
        except FrameError as error:
            first = first or error
            continue
        try:
            return see(data), where
        except DamageError as error:
            first = first or FrameError(f"{where}: {error}")
        except FrameError as error:
            raise FrameError(f"{where}: {error}") from None
    assert first is not None  # noqa: S101 - a video has frames
    raise first


def _output_size(dataset: Dataset, recipe: Recipe, stream: str, most: int) -> tuple[int, int]:
    """Measure the first frame, and more of them if the output depends on their size."""
    probes = 1 if recipe.fixes_size else min(_PROBED, len(dataset))
    found: dict[tuple[int, int], str] = {}
    for row in np.linspace(0, len(dataset) - 1, probes).astype(int):
        size, where = _look(dataset, stream, int(row), frame_size, most)
        try:
            geometry = recipe.geometry(*size, [0.0] * recipe.draws)
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

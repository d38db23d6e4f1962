"""The arrays of a batch: their shapes and dtypes, found from the options and a look at frames.

The size of a frame is known only from the frame. If a transform fixes the output size, the first frame is
enough. Otherwise the first frames of a few videos are measured, so that mixed sizes are found before training
begins; a worker that meets another size later raises an error.

The result of a user's function is known only from calling it, so each function is called here once. The
pixel steps are compiled here, once for each stream; the workers get them compiled.

Whether streams of different sizes fit each other is found by `fastclips.serving.alignment`.
"""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastclips.data.storage import opened, read_present
from fastclips.errors import DamageError, FrameError, OptionError
from fastclips.pixels.decoding.decoder import Decoder, frame_size
from fastclips.pixels.steps.compiled import try_functions
from fastclips.reserved import LABEL, OF_PLAN, WEIGHT
from fastclips.serving.alignment import check_names, group_streams
from fastclips.spec import Field, SlotLayout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import TypeVar

    from numpy.typing import NDArray

    from fastclips.data.dataset import Dataset
    from fastclips.pixels.decoding.decoder import Stored
    from fastclips.pixels.geometry.affine import Border
    from fastclips.pixels.recipe import Recipe
    from fastclips.pixels.steps.base import Trial
    from fastclips.pixels.steps.compiled import CompiledSteps
    from fastclips.spec import StreamSpec, Weighting

    Seen = TypeVar("Seen")

__all__ = ["FoundLayout", "find_layout"]

_log = logging.getLogger(__name__)
_PATIENCE_S = 30.0
_SLOW = "For %.0f s, a function in transforms works on its first clip, of %s, to tell its shape and dtype."
_MOST_DAMAGED = 10_000  # damaged frames to skip in search of an intact one
_MEASURED = 32  # videos whose first frame is measured if no transform fixes the size


class FoundLayout(NamedTuple):
    """What `find_layout` finds.

    Parameters
    ----------
    slots : SlotLayout
        One field for each stream among the names, and `WEIGHT` last if there is a weighting.
    streams : tuple of StreamSpec
        These streams, with the type of depth that was found.
    sizes : dict of str to (int, int)
        Height and width of each stream's frames after its geometry.
    pixel_steps : dict of str to CompiledSteps
        The pixel steps of each stream that has any.
    groups : dict of str to str
        Group of each stream, within which frames must fit each other; ``""`` for streams that are not listed.
    """

    slots: SlotLayout
    streams: tuple[StreamSpec, ...]
    sizes: dict[str, tuple[int, int]]
    pixel_steps: dict[str, CompiledSteps]
    groups: dict[str, str]


def find_layout(
    dataset: Dataset,
    recipe: Recipe,
    time_steps: int,
    batch_size: int,
    names: Iterable[str],
    weighting: Weighting | None = None,
    *,
    passes_damaged: bool = False,
    max_pixels: int | None = None,
) -> FoundLayout:
    """Find the arrays of a batch by looking at a frame.

    Parameters
    ----------
    dataset : Dataset
        The frames.
    recipe : Recipe
        What is done to each clip.
    time_steps, batch_size : int
        Frames in a clip, clips in a batch.
    names : iterable of str
        Inputs and targets; `LABEL` has no array here.
    weighting : Weighting, optional
        Weights of the pixels of one of these streams, a mask.
    max_pixels : int, optional
        As for `Decoder`.
    passes_damaged : bool
        Whether to look at the next frame if one is missing or damaged, 10,000 times at most.

    Returns
    -------
    FoundLayout

    Raises
    ------
    OptionError
        If a name is no stream, a crop is larger than a frame, frames come out in different sizes, streams
        do not fit each other, a pixel step does not suit the channels or size of a picture or the result of a
        function, or the weighting is of no mask among the names.
    FrameError
        If a frame that is looked at cannot be read, or a user's function fails on it.
    """
    streams = {stream.name: stream for stream in dataset.streams}
    wanted = dict.fromkeys(name for name in names if name != LABEL)
    unknown = [name for name in wanted if name not in streams]
    if unknown:
        raise OptionError(
            f"{unknown[0]!r} in inputs or targets is no stream of this dataset; it has "
            f"{', '.join(map(repr, [*streams, *dataset.index.every_label]))}, and every dataset has "
            f"{', '.join(map(repr, OF_PLAN))}"
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
    check_names(recipe, dataset.streams)
    most = 1 + passes_damaged * _MOST_DAMAGED
    recipes = {name: recipe.of(streams[name]) for name in wanted}
    sizes, groups = _output_sizes(dataset, recipe, recipes, most)
    found, fields = [], []
    compiled: dict[str, CompiledSteps] = {}
    for name, own in recipes.items():
        stream = streams[name]
        if stream.kind == "depth" and stream.dtype is None:
            stream = replace(stream, dtype=_depth_dtype(dataset, stream, most, max_pixels))
        _check_unknown(stream, stream.decoded_dtype)
        found.append(stream)
        if stream.mask:
            _check_swapped(own, stream)
            fields.append(Field(name, (time_steps, *sizes[name]), "uint8"))
        else:
            clip = (time_steps, *sizes[name], stream.frame_channels)
            trials: tuple[Trial, ...] = ()
            if own.has_functions:
                trials = _try_functions(dataset, own, stream, clip, most, max_pixels)
            pixel_steps = own.compiled(clip[-1], trials, stream.decoded_dtype)
            fields.append(_picture_field(own, stream, clip, pixel_steps))
            _check_unknown(stream, fields[-1].dtype)
            if pixel_steps is not None:
                compiled[name] = pixel_steps
    if weighting is not None:
        fields.append(Field(WEIGHT, (time_steps, *sizes[weighting.stream]), "float32"))
    return FoundLayout(SlotLayout(batch_size, tuple(fields)), tuple(found), sizes, compiled, groups)


def _depth_dtype(dataset: Dataset, stream: StreamSpec, most: int, max_pixels: int | None) -> str:
    """Return the type of the first frame of depth."""
    decoder = Decoder(stream, max_pixels=max_pixels)
    dtype, _ = _look(dataset, stream.name, 0, lambda data: decoder.decode(data).pixels.dtype.name, most)
    return dtype


def _check_unknown(stream: StreamSpec, dtype: str) -> None:
    """Raise `OptionError` if the value of depth without a number is none of its type."""
    unknown, kind = stream.unknown, np.dtype(dtype)
    if unknown is None or kind.kind == "c":
        return
    limits = np.finfo(kind) if kind.kind == "f" else np.iinfo(kind if kind.kind in "iu" else "u1")
    if not float(limits.min) <= unknown <= float(limits.max) or (
        kind.kind != "f" and unknown != int(unknown)
    ):
        raise OptionError(
            f"ignore={unknown!r} of {stream.name!r}: must be a number of {dtype}, the type of this depth; "
            "open the dataset with another Stream(ignore=)"
        )


def _picture_field(
    recipe: Recipe, stream: StreamSpec, clip: tuple[int, ...], pixel_steps: CompiledSteps | None
) -> Field:
    """Return the array of a stream, no mask, whose clips have a shape after the geometry."""
    shape, dtype = clip, stream.decoded_dtype
    if pixel_steps is not None:
        shape, dtype = pixel_steps.shape(clip), pixel_steps.dtype
    if shape != clip and recipe.border.fill == "constant":
        raise OptionError(
            f"fill='constant' fills what lies outside the frame after all pixel steps, but a function makes "
            f"{shape} of clips of {clip}: give another fill, or pad= of Resize"
        )
    if not stream.is_field:
        _check_fill_value(recipe.border, dtype)
    if recipe.moves_channels(shape, clip):
        shape = (shape[0], shape[3], *shape[1:3])
    return Field(stream.name, shape, dtype)


def _check_fill_value(border: Border, dtype: str) -> None:
    value = np.array(border.value)
    if border.fill == "constant" and np.any(value.astype(dtype) != value):
        raise OptionError(
            f"fill_value={border.value}: must be a number of {dtype}, which a function makes of clips, or "
            "give another fill, or pad= of Resize"
        )


def _try_functions(
    dataset: Dataset,
    recipe: Recipe,
    stream: StreamSpec,
    clip: tuple[int, ...],
    most: int,
    max_pixels: int | None,
) -> tuple[Trial, ...]:
    """Call the user's functions once, on a clip that shows the first video's first frame throughout."""
    decoder = Decoder(stream, max_pixels=max_pixels)
    pixels, where = _look(dataset, stream.name, 0, lambda data: decoder.decode(data).pixels, most)
    still = _still_clip(recipe, stream, pixels, clip)
    told = threading.Timer(_PATIENCE_S, _log.warning, (_SLOW, _PATIENCE_S, where))
    told.start()
    try:
        return try_functions(recipe.steps, clip[-1], still)
    except FrameError as error:
        raise FrameError(f"{where}: {error}", path=where, reason=str(error)) from error.__cause__
    finally:
        told.cancel()
        told.join()


def _still_clip(
    recipe: Recipe, stream: StreamSpec, pixels: NDArray[Any], shape: tuple[int, ...]
) -> NDArray[Any]:
    """Return a clip of a shape that shows one frame throughout."""
    from fastclips.pixels.geometry.fields import make_field_placer  # noqa: PLC0415 - OpenCV, where it is needed
    from fastclips.pixels.geometry.placing import make_placer  # noqa: PLC0415 - numba, only where it is needed

    geometry = recipe.geometry(pixels.shape[0], pixels.shape[1], [0.0] * recipe.draws)
    if (geometry.y.size, geometry.x.size) != shape[1:3]:
        raise FrameError("comes out in another size than the first stream, but all must have one")
    clip, fill = np.empty(shape, pixels.dtype), recipe.border.fill
    if stream.is_field:
        size = pixels.shape[0], pixels.shape[1]
        make_field_placer(geometry, size, fill, vectors=stream.kind == "flow")(pixels, clip[0])
    else:
        make_placer(geometry, pixels.shape, fill)(pixels, clip[0])
    clip[1:] = clip[0]
    return clip


def _check_swapped(recipe: Recipe, stream: StreamSpec) -> None:
    for pair in recipe.mask_pairs:
        if stream.ignore in pair:
            raise OptionError(
                f"RandomFlip's mask_map swaps {stream.ignore}, which in {stream.name!r} means that there is "
                "nothing to learn: leave it out, or open the dataset with another ignore="
            )


def _look(
    dataset: Dataset, stream: str, row: int, see: Callable[[Stored], Seen], most: int, *, own: bool = False
) -> tuple[Seen, str]:
    """Return what `see` finds in the first intact frame from a video on, of so many, and its path.

    Where a mask is missing, the picture is looked at, which has the same size; or, with `own`, the next mask.
    """
    index, storage = dataset.index, opened(dataset.storage)
    places = (
        (index.keys.item(at), index.starts.item(at) + frame)
        for at in range(row, len(index.keys))
        for frame in range(index.frame_counts.item(at))
    )
    first: FrameError | None = None
    for video, frame in islice(places, most):
        where = storage.where(stream, video, frame)
        try:
            read = storage.read(stream, video, frame)
            if read is None and own:
                continue
            data, where = _picture_instead(dataset, stream, video, frame) if read is None else (read, where)
        except FrameError as error:
            first = first or error
            continue
        try:
            return see(data), where
        except FrameError as error:
            named = FrameError(f"{where}: {error}", path=where, reason=str(error), video=video, frame=frame)
            if not isinstance(error, DamageError):
                raise named from None
            first = first or named
    if first is None:  # there is no mask among these frames
        return _look(dataset, stream, row, see, most)
    raise first


def _picture_instead(dataset: Dataset, mask: str, video: int, frame: int) -> tuple[Stored, str]:
    """Return a picture at the place of a missing mask, and its path."""
    storage = dataset.storage
    picture = next((stream.name for stream in dataset.streams if not stream.mask), mask)
    return read_present(storage, picture, video, frame), storage.where(picture, video, frame)


def _output_sizes(
    dataset: Dataset, recipe: Recipe, recipes: dict[str, Recipe], most: int
) -> tuple[dict[str, tuple[int, int]], dict[str, str]]:
    """Return the size of each stream after its geometry, and the groups of streams.

    Of streams that all must have one size, only the first is measured; the first frames of the others
    must fit.
    """
    streams = [stream for stream in dataset.streams if stream.name in recipes]
    if not recipe.divides_geometry and not any(stream.own_size for stream in streams):
        name = next(iter(recipes))
        if len(streams) > 1:
            _check_first_frames(dataset, streams, recipes)
        size = _measured(dataset, {name: recipes[name]}, most)[name]
        return dict.fromkeys(recipes, size), {}
    frames = {name: _look(dataset, name, 0, frame_size, most, own=True)[0] for name in recipes}
    groups = group_streams(streams, recipes, frames)  # first, since its errors have the better remedy
    return _measured(dataset, recipes, most, own=True), groups


def _check_first_frames(
    dataset: Dataset, streams: Sequence[StreamSpec], recipes: Mapping[str, Recipe]
) -> None:
    """Raise `OptionError` if the first frames of streams do not fit. Unreadable frames are not compared."""
    frames = {}
    for stream in streams:
        with suppress(FrameError):
            frames[stream.name] = _look(dataset, stream.name, 0, frame_size, 1)[0]
    if frames:
        group_streams([stream for stream in streams if stream.name in frames], recipes, frames)


def _measured(
    dataset: Dataset, recipes: dict[str, Recipe], most: int, *, own: bool = False
) -> dict[str, tuple[int, int]]:
    """Return the size of each stream after its geometry.

    Of a stream whose size depends on that of its frames, several frames are measured; of a mix, at least one
    of each set.
    """
    begins = [0] if dataset.mixed is None else dataset.mixed.begins[:-1]
    sizes: dict[str, tuple[int, int]] = {}
    for name, recipe in recipes.items():
        measured = 1 if recipe.fixes_size else min(_MEASURED, len(dataset))
        found: dict[tuple[int, int], str] = {}
        spread = np.linspace(0, len(dataset) - 1, measured).astype(int)
        for row in np.union1d(spread, begins).tolist():
            size, where = _look(dataset, name, row, frame_size, most, own=own)
            try:
                geometry = recipe.geometry(*size, [0.0] * recipe.draws)
            except OptionError as error:
                raise OptionError(f"{error} (first frame: {where})") from None
            found.setdefault((geometry.y.size, geometry.x.size), where)
        if len(found) > 1:
            (first, a), (second, b) = list(found.items())[:2]
            raise OptionError(
                f"frames come out in mixed sizes, {first[0]}x{first[1]} (height x width; {a}) and "
                f"{second[0]}x{second[1]} ({b}): add a transform that fixes the size, such as "
                "RandomCrop(224) or Resize((256, 340))"
            )
        sizes[name] = next(iter(found))
    return sizes

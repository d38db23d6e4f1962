"""`check_pixel_step`: whether a pixel step keeps the contract of `fastclips.PixelStep`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.data.opening import open_dataset
from fastclips.errors import OptionError
from fastclips.functions import from_script, to_worker
from fastclips.loader import ClipLoader
from fastclips.pixels.steps.base import METHODS, PixelStep, check_declaration
from fastclips.planning.samplers import Windows

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["check_pixel_step"]

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
_CLIPS = 3


def check_pixel_step(
    step: PixelStep,
    *,
    channels: int = 3,
    size: tuple[int, int] = (24, 32),
    time_steps: int = 3,
    seed: int = 0,
) -> None:
    """Assert that a pixel step does what the engine relies on.

    The method of the step's kind is called on random pictures and draws. The same input and draws must give
    the same bits, in any order of calls and after the step was pickled. The result must be finite and have
    the shape and dtype that `fastclips.PixelStep` asks for, and a table step must not write to its input.
    The repr must be the same after pickling and hold no address. Last, a `ClipLoader` without workers must
    serve what the method gives, clipped if the step has no dtype, and rounded once.

    Parameters
    ----------
    step : PixelStep
        The step, with any options.
    channels : int
        Channels of the pictures: 3, or 1 for gray.
    size : (int, int)
        Height and width of the pictures in pixels.
    time_steps : int
        Frames of a clip.
    seed : int
        Seed of the pictures and the draws.

    Raises
    ------
    AssertionError
        If the step breaks the contract; the message says where.
    OptionError
        If the step refuses pictures of these channels or this size.

    Examples
    --------
    >>> from fastclips.testing import check_pixel_step
    >>> check_pixel_step(fc.Brightness(0.2, p=0.5))
    >>> class Flicker(fc.PixelStep):
    ...     kind = "frame"
    ...     def __repr__(self):
    ...         return "Flicker()"
    ...     def apply(self, frame, draws, number):
    ...         return frame * np.random.default_rng().random(dtype=np.float32)
    >>> check_pixel_step(Flicker())
    Traceback (most recent call last):
    AssertionError: Flicker.apply() gave two results for the same input and draws []: only draws may vary it
    """
    name = type(step).__name__
    _expect(isinstance(step, PixelStep), f"{name}: must subclass fastclips.PixelStep")
    try:
        check_declaration(step)
    except OptionError as error:
        raise AssertionError(str(error)) from None
    step.check_channels(channels)
    step.check_frame((*size, channels))
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (_CLIPS, time_steps, *size, channels), np.uint8)
    copy = _check_travel(step)
    try:
        if step.kind == "table":
            _check_values(step, copy, channels, random)
        elif step.kind == "frame":
            _check_frames(step, copy, images[0], random)
        elif step.kind == "clip":
            _check_clip(step, copy, images[0], random)
    except IndexError as error:
        raise AssertionError(
            f"{name}.{METHODS[step.kind]}() takes more draws than draws={step.draws}, or its indices are "
            f"wrong: {error}"
        ) from error
    _check_served(step, images, seed)


def _expect(holds: bool, message: str) -> None:
    if not holds:
        raise AssertionError(message)


def _expect_array(result: object, said: str) -> None:
    _expect(isinstance(result, np.ndarray), f"{said} returned {type(result).__name__}: must be an array")


def _check_travel(step: PixelStep) -> PixelStep:
    """Return the step as a worker gets it."""
    name = type(step).__name__
    _expect(
        not _ADDRESS.search(repr(step)),
        f"{name}: its repr {step!r} holds an address: name the options in it instead, as a frozen dataclass "
        "does",
    )
    try:
        copy: PixelStep = from_script(to_worker(step, name), name)
    except Exception as error:
        raise AssertionError(f"{name}: does not reach workers: {error}") from error
    _expect(repr(copy) == repr(step), f"{name}: its repr is {copy!r} after pickling, {step!r} before")
    return copy


def _check_result(
    step: PixelStep, result: NDArray[Any], given: NDArray[Any], draws: list[float], again: object
) -> None:
    """Check what a method returned for an array of floats, and for the same input once more."""
    said = f"{type(step).__name__}.{METHODS[step.kind]}()"
    _expect(
        (result.shape, result.dtype) == (given.shape, given.dtype),
        f"{said} returned {result.dtype} {result.shape} for {given.dtype} {given.shape}: must be the same",
    )
    _expect(bool(np.isfinite(result).all()), f"{said} gave values that are not finite, for draws {draws}")
    _expect(
        isinstance(again, np.ndarray) and result.tobytes() == again.tobytes(),
        f"{said} gave two results for the same input and draws {draws}: only draws may vary it",
    )


def _all_draws(step: PixelStep, random: np.random.Generator) -> list[list[float]]:
    """Return draws to try: the least, nearly the largest, and some between."""
    few = [[0.0] * step.draws, [float(np.nextafter(1, 0))] * step.draws]
    return [*few, *random.random((2, step.draws)).tolist()]


def _check_values(step: PixelStep, copy: PixelStep, channels: int, random: np.random.Generator) -> None:
    said = f"{type(step).__name__}.values()"
    results = []
    for draws in _all_draws(step, random):
        for dtype in (np.float64, np.float32):
            table = np.tile(np.linspace(0, 255, 511, dtype=dtype), (channels, 1))
            given = table.copy()
            result = step.values(given, draws)
            _expect(np.array_equal(given, table), f"{said} wrote to its input: return a new array")
            _expect(
                isinstance(result, np.ndarray), f"{said} returned {type(result).__name__}: must be an array"
            )
            kept = result.copy()
            _check_result(step, kept, table, draws, copy.values(given, draws))
            if step.dtype is None:
                np.clip(result, 0, 255, out=result)  # as the engine does
            results.append((table, draws, kept))
    for table, draws, kept in reversed(results):
        _check_result(step, kept, table, draws, step.values(table.copy(), draws))


def _check_frames(
    step: PixelStep, copy: PixelStep, clip: NDArray[np.uint8], random: np.random.Generator
) -> None:
    said = f"{type(step).__name__}.apply()"
    for draws in _all_draws(step, random):
        results = []
        for number, frame in enumerate(clip):
            result = step.apply(frame.astype(np.float32), draws, number)
            _expect(
                isinstance(result, np.ndarray), f"{said} returned {type(result).__name__}: must be an array"
            )
            _expect(
                result.flags.c_contiguous,
                f"{said} returned no C-contiguous array: use np.ascontiguousarray",
            )
            results.append(result.copy())
        for number in reversed(range(len(clip))):
            floats = clip[number].astype(np.float32)
            _check_result(step, results[number], floats, draws, step.apply(floats.copy(), draws, number))
            _check_result(step, results[number], floats, draws, copy.apply(floats, draws, number))


def _check_clip(
    step: PixelStep, copy: PixelStep, clip: NDArray[np.uint8], random: np.random.Generator
) -> None:
    for draws in _all_draws(step, random):
        given = clip.astype(np.float32)
        results = []
        for one in (step, step, copy):
            frames = given.copy()
            returned: object = one.apply_clip(frames, draws)  # type: ignore[func-returns-value]
            _expect(
                returned is None,
                f"{type(step).__name__}.apply_clip() returned {type(returned).__name__}: it must overwrite "
                "its input and return None",
            )
            results.append(frames)
        for again in results[1:]:
            _check_result(step, results[0], given, draws, again)


def _check_served(step: PixelStep, images: NDArray[np.uint8], seed: int) -> None:
    """Check what a loader serves against the step's method, called as plainly as can be."""
    name, time_steps = type(step).__name__, images.shape[1]
    dataset = open_dataset(images=images)
    with ClipLoader(
        dataset, Windows(time_steps), [step], batch_size=len(images), seed=seed, rank=0, workers=0
    ) as loader:
        served = np.array(loader.batch(0, 0))
        draws_of_clips = next(loader.schedule.run(0, 0, 1)).tickets["draws"]
    needed = (step.draws + (step.p is not None)) * (time_steps if step.per == "frame" else 1)
    _expect(draws_of_clips.shape[1] == needed, f"{name}: the plan has {draws_of_clips.shape[1]} draws for it")
    for clip, shown, draws in zip(images, served, draws_of_clips.tolist(), strict=True):
        expected = _reference(step, clip, draws)
        if step.kind == "function":
            same = np.array_equal(shown, expected)
        elif step.dtype is None:
            same = np.array_equal(shown, np.floor(np.clip(expected, 0, 255) + 0.5))
        else:
            same = np.array_equal(shown, expected.astype(step.dtype))
        wanted = step.dtype or ("uint8" if step.kind != "function" else expected.dtype)
        _expect(
            same and shown.dtype == wanted,
            f"{name}: a loader serves other values, {shown.dtype}, than {METHODS[step.kind]}() gives, for "
            f"draws {draws}",
        )


def _reference(step: Any, clip: NDArray[np.uint8], draws: list[float]) -> NDArray[Any]:  # noqa: ANN401 - with the method of its kind
    """Return a clip after the step, neither clipped nor rounded."""
    each = step.draws + (step.p is not None)

    def own_draws(number: int) -> list[float] | None:
        own = draws[number * each : (number + 1) * each]
        if step.p is None:
            return own
        return own[1:] if own[0] < step.p else None

    if step.kind == "clip":
        frames = clip.astype(np.float32)
        if (own := own_draws(0)) is not None:
            step.apply_clip(frames, own)
        return frames
    if step.kind == "function" and step.per != "frame":
        own = own_draws(0)
        return clip if own is None else np.asarray(step.call_function(clip.copy(), *own))
    results: list[NDArray[Any]] = []
    for number, frame in enumerate(clip):
        own = own_draws(number if step.per == "frame" else 0)
        if own is None:
            results.append(frame)
        elif step.kind == "function":
            results.append(step.call_function(frame.copy(), *own))
        elif step.kind == "frame":
            results.append(step.apply(frame.astype(np.float32), own, number))
        else:
            channels = range(frame.shape[-1])
            table = step.values(np.tile(np.arange(256.0), (len(channels), 1)), own)
            results.append(np.stack([table[c][frame[..., c]] for c in channels], axis=-1))
    return np.stack(results)

"""Whether streams of different sizes fit each other.

A picture that `fastclips.Stream` declares may have a size of its own. Masks, flow and depth belong to a
picture, pixel by pixel: wherever a transform acts on all streams, their frames must have the size of the
picture's, and `On` must not give random geometry to one of both. Of several pictures that fit, it is the
first, or one that shares their random geometry. Streams without a size of their own, pictures as well,
must all fit the first picture.

Streams that fit each other are a *group*. The first frames decide the groups, and renderers check that the
frames of each clip fit in the same way (`fastclips.engine.clip_placer.StreamSetup.joint`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastclips.errors import OptionError
from fastclips.pixels.on import On
from fastclips.pixels.steps.base import PixelStep

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fastclips.pixels.recipe import Recipe
    from fastclips.spec import StreamSpec

    Size = tuple[int, int]
    Joints = tuple[tuple[Any, Size], ...] | None

__all__ = ["check_names", "group_streams"]


def check_names(recipe: Recipe, streams: Sequence[StreamSpec]) -> None:
    """Raise `OptionError` if an `On` names no stream of a dataset, or gives a pixel step to a mask."""
    known = {stream.name: stream for stream in streams}
    for item in (*recipe.transforms, *recipe.steps):
        for name in item.streams if isinstance(item, On) else ():
            if name not in known:
                raise OptionError(
                    f"{item!r}: {name!r} is no stream of this dataset; it has {', '.join(map(repr, known))}"
                )
            if known[name].mask and isinstance(item.transform, PixelStep):
                raise OptionError(
                    f"{item!r}: {name!r} is a mask, whose values are classes, and pixel steps change "
                    "numbers: leave it out; change values with fastclips.Stream(values=)"
                )


def group_streams(
    streams: Sequence[StreamSpec], recipes: Mapping[str, Recipe], frames: Mapping[str, Size]
) -> dict[str, str]:
    """Return the group of each stream that is not in the group ``""``, that of streams without own size.

    Parameters
    ----------
    streams : sequence of StreamSpec
        The streams that are served.
    recipes : mapping of str to Recipe
        The recipe of each stream.
    frames : mapping of str to (int, int)
        Height and width of each stream's first frame.

    Raises
    ------
    OptionError
        If a mask, flow or depth fits no picture, or pictures without own size do not fit each other.
    """
    pictures = [stream for stream in streams if stream.kind == "image"] or [streams[0]]
    joints = {stream.name: recipes[stream.name].joints(*frames[stream.name]) for stream in streams}
    groups = {stream.name: stream.name if stream.own_size else "" for stream in streams}
    plain = [stream for stream in pictures if not stream.own_size]
    for stream in streams:
        if stream in pictures:
            if stream in plain and not _fit(joints[stream.name], joints[plain[0].name]):
                raise OptionError(_misfit(stream, plain[0], joints))
            continue
        partners = [other for other in pictures if _fit(joints[stream.name], joints[other.name])]
        if not partners:
            raise OptionError(_misfit(stream, pictures[0], joints))
        random = recipes[stream.name].random_own
        known = partners if random else partners[:1]  # the first, unless On tells which it is
        same = [other for other in known if recipes[other.name].random_own == random]
        if not same:
            raise OptionError(
                f"On gives random geometry to {stream.name!r} ({stream.kind}) or {partners[0].name!r} alone, "
                "but they belong together, pixel by pixel: name both, as in "
                f"On(({partners[0].name!r}, {stream.name!r}), RandomFlip())"
            )
        groups[stream.name] = groups[same[0].name]
    return {name: group for name, group in groups.items() if group}


def _fit(one: Joints, other: Joints) -> bool:
    return one is None or other is None or all(a[1] == b[1] for a, b in zip(one, other, strict=False))


def _misfit(stream: StreamSpec, picture: StreamSpec, joints: Mapping[str, Joints]) -> str:
    own, others = joints[stream.name] or (), joints[picture.name] or ()
    number = next(n for n, (one, other) in enumerate(zip(own, others, strict=False)) if one[1] != other[1])
    (transform, size), (_, other) = own[number], others[number]
    name = stream.name
    where = "" if transform is None else f" before {transform!r}, which acts on all streams"
    if number == 0:
        resize = f"On({name!r}, Resize({other}))"
        remedy = f"put {resize} before it" if where else f"add {resize}"
    else:
        remedy = (
            f"put what On gives {name!r} or {picture.name!r} alone after the last transform of all streams"
        )
    why = "they belong together, pixel by pixel"
    if stream.kind == "image":
        why = "pictures that are plain paths must have one size"
        remedy = f"open {name!r} as Stream(path) if it is another camera, or {remedy}"
    return (
        f"frames of {name!r} ({stream.kind}) are {size[0]}x{size[1]} (height x width) and those of "
        f"{picture.name!r} {other[0]}x{other[1]}{where}, but {why}: {remedy}"
    )

"""`Stream`, the declaration of a stream, and checks of the options that describe the streams of a dataset."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.data.series import y_of
from fastclips.errors import OptionError
from fastclips.options import checked_choice, checked_int, checked_number
from fastclips.reserved import RESERVED
from fastclips.spec import StreamSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "KINDS",
    "MASKS",
    "Stream",
    "make_streams",
    "mask_options",
    "merge_frames",
    "split_declared",
    "streams_of_kinds",
]

MASKS = ("mask",)  # the streams that are masks by default
KINDS = ("image", "mask", "flow", "depth")
_VALUES = 256  # of a byte
_PAIR = 2  # patterns, of x and y
_OF_MASK = "a mask's value in values"


@dataclass(frozen=True, eq=False)
class Stream:
    """Declare a stream of a dataset: where its frames are, and what they hold.

    A value of the mappings that `fastclips.open` takes: of streams to folders, as its source or as `root` of
    a list, and of streams to arrays. A path alone declares a picture, or a mask if its stream is named
    ``"mask"``. All such streams must have frames of one size, or `On` must bring them to one size. A declared
    picture may have another size, as a second camera does. Masks, flow and depth belong to a picture, pixel
    by pixel; `On` brings them to its size.

    Parameters
    ----------
    path : path or array_like
        A folder of frames, or, among `images`, an array or the path of a .npy file.
    kind : {"image", "mask", "flow", "depth"}
        By default ``"image"``; a stream named ``"mask"`` needs it.

        ``"image"``
            Pictures, uint8 (T, H, W, C), interpolated.
        ``"mask"``
            Label maps, uint8 (T, H, W). Each pixel is the nearest pixel of the file.
        ``"flow"``
            Displacements in pixels of the frame, float32 (T, H, W, 2), x to the right before y down,
            interpolated. They turn, shrink and change signs with the geometry. Files are ``.flo``; PNGs of
            three channels of 16 bits, as in KITTI; or two series of gray pictures, of x and of y, as
            denseflow writes them. Unknown displacements are 0.
        ``"depth"``
            One number per pixel, (T, H, W, 1), such as depth, temperature or density. Each pixel is the
            nearest pixel of the file. Files are PNG, BMP or TIFF of one channel. The first file gives the
            type, uint8, uint16 or float32, and all others must have it.
    frames : str or (str, str), optional
        Select frames by file name, as `frames` of `fastclips.open`. Two patterns are those of two series of
        flow, ``("flow_x_{:05d}.jpg", "flow_y_{:05d}.jpg")``; all streams are then paired by the number at the
        end of their names, unless `match` of `fastclips.open` says otherwise.
    values : mapping of int to int, or sequence of 256 int, optional
        Of a mask: new value of each value, as in `fastclips.open`.
    colors : mapping of (int, int, int) to int, optional
        Of a mask: value of each colour, as in `fastclips.open`.
    ignore : float, optional
        Of a mask: value of pixels without a label, 0 to 255; by default 255. Of depth: value of padded time
        steps and of pixels outside the frame; by default, padded time steps repeat a frame, as pictures do,
        and ``fill="constant"`` is 0.

    bound : float, optional
        Of two series of flow: the displacement of value 255 in pixels, by default 20; 0 has its negative.

    Raises
    ------
    OptionError
        An argument has a wrong value, or is not for this kind.

    Examples
    --------
    >>> fc.open({"image": "frames", "right": fc.Stream("frames"), "mask": fc.Stream("masks", kind="mask")})
    <Dataset: 6 videos, 72 frames, 2 classes; image, right, mask (mask)>

    Depth in arrays, and its padding and fill:

    >>> images = np.zeros((2, 8, 48, 64, 3), np.uint8)
    >>> depth = np.ones((2, 8, 48, 64), np.float32)
    >>> data = fc.open(images={"image": images, "depth": fc.Stream(depth, kind="depth", ignore=0)})
    >>> transforms = [fc.RandomCrop(32), fc.On("depth", fc.Rescale(0.001))]
    >>> names = ("image", "depth")
    >>> loader = fc.ClipLoader(data, fc.Windows(4), transforms, batch_size=2, inputs=names, workers=0)
    >>> {name: (array.shape, array.dtype.name) for name, array in next(iter(loader)).items()}
    {'image': ((2, 4, 32, 32, 3), 'uint8'), 'depth': ((2, 4, 32, 32, 1), 'float32')}
    """

    path: Any
    _: KW_ONLY
    kind: str | None = None
    frames: str | tuple[str, str] | None = None
    values: Mapping[int, int] | Sequence[int] | None = None
    colors: Mapping[tuple[int, int, int], int] | None = None
    ignore: float | None = None
    bound: float | None = None
    has_kind: bool = field(init=False, repr=False)  # whether the kind was given

    def __post_init__(self) -> None:
        object.__setattr__(self, "has_kind", self.kind is not None)
        object.__setattr__(self, "kind", "image" if self.kind is None else self.kind)
        checked_choice(self.kind, "Stream's kind", KINDS)
        if isinstance(self.path, Stream):
            raise OptionError(f"Stream's path={self.path!r}: must be a path or an array, not a Stream")
        self._check_frames()
        if self.bound is not None and not self.is_pair:
            raise OptionError(
                f"Stream's bound={self.bound!r}: is for flow in two series of pictures: give frames= both "
                "patterns, or remove bound="
            )
        allowed = {"mask": ("values", "colors", "ignore"), "depth": ("ignore",)}.get(str(self.kind), ())
        for knob in ("values", "colors", "ignore"):
            if getattr(self, knob) is not None and knob not in allowed:
                of = "masks and depth" if knob == "ignore" else "masks"
                raise OptionError(
                    f"Stream's {knob}={getattr(self, knob)!r}: is for {of}, but kind={self.kind!r}: remove "
                    "it, or give another kind="
                )
        self.spec("")

    def _check_frames(self) -> None:
        """Check the patterns, and keep two of them as a tuple."""
        given: Any = self.frames
        if isinstance(given, (tuple, list)):
            if self.kind != "flow" or len(given) != _PAIR or not all(isinstance(part, str) for part in given):
                raise OptionError(
                    f"Stream's frames={given!r}: must be one pattern, or two, of x and of y, for kind='flow'"
                )
            object.__setattr__(self, "frames", tuple(given))
        elif given is not None and not isinstance(given, str):
            raise OptionError(
                f"Stream's frames={given!r}: must be a pattern of file names, such as 'img_*.jpg'"
            )

    @property
    def is_pair(self) -> bool:
        """Whether its frames are in two series of files."""
        return isinstance(self.frames, tuple)

    def spec(self, name: str) -> StreamSpec:
        """Return what the other rooms know of the stream; raise OptionError if an option is out of range."""
        if self.kind == "mask":
            options = mask_options(self.colors, self.values, 255 if self.ignore is None else self.ignore)
            return StreamSpec(name, "mask", own_size=True, **options)
        unknown = None if self.ignore is None else checked_number(self.ignore, "Stream's ignore")
        bound = StreamSpec.bound if self.bound is None else checked_number(self.bound, "Stream's bound", 0)
        if bound == 0:
            raise OptionError("Stream's bound=0: must be above 0")
        return StreamSpec(name, str(self.kind), unknown=unknown, own_size=True, bound=bound)


def split_declared(streams: object) -> tuple[Any, dict[str, Stream]]:
    """Return an argument of `fastclips.open` with the paths of its `Stream` values, and these values.

    A stream in two series of files has two paths, the second by the name `fastclips.data.series.y_of`.

    Raises
    ------
    OptionError
        A `Stream` is no value of a mapping, or its second name is taken.
    """
    if not isinstance(streams, Mapping):
        if isinstance(streams, Stream):
            raise OptionError(
                f"{streams!r} stands alone: must be a value of a mapping, as in {{'image': Stream(path)}}"
            )
        return streams, {}
    declared = {name: value for name, value in streams.items() if isinstance(value, Stream)}
    if not declared:
        return streams, {}
    paths: dict[Any, Any] = {}
    for name, value in streams.items():
        paths[name] = value.path if name in declared else value
        if name in declared and value.is_pair:
            if y_of(name) in streams:
                raise OptionError(
                    f"{y_of(name)!r} is the name of the series of y of {name!r}: rename the stream"
                )
            paths[y_of(name)] = value.path
    return paths, declared


def merge_frames(
    frames: str | Mapping[str, str] | None, declared: Mapping[str, Stream]
) -> str | Mapping[str, str] | None:
    """Return `frames` of `fastclips.open` with the patterns of declared streams.

    Files of flow need a pattern to be selected; by default it is ``"*"``.

    Raises
    ------
    OptionError
        Both give a pattern for a stream.
    """
    own: dict[str, str] = {}
    for name, stream in declared.items():
        if isinstance(stream.frames, tuple):
            own[name], own[y_of(name)] = stream.frames
        elif stream.frames is not None:
            own[name] = stream.frames
    every = {name: "*" for name, stream in declared.items() if stream.kind == "flow"}
    if frames is None:
        return {**every, **own} or None
    if not own and isinstance(frames, str):
        return frames
    both = [name for name in own if not isinstance(frames, Mapping) or name in frames]
    if both:
        raise OptionError(
            f"frames={frames!r} and Stream(frames={own[both[0]]!r}) both select frames of {both[0]!r}: "
            "remove one of them, or give frames= of the other streams as a mapping"
        )
    return {**every, **frames, **own}  # type: ignore[dict-item] # a mapping by now


def make_streams(
    names: Sequence[str],
    masks: Iterable[str],
    mask: dict[str, Any],
    declared: Mapping[str, Stream] | None = None,
) -> tuple[StreamSpec, ...]:
    """Return the streams of some names.

    Parameters
    ----------
    names : sequence of str
        Names of all streams.
    masks : iterable of str
        Names of the streams that are masks, and not declared.
    mask : dict
        The options of the masks, from `mask_options`.
    declared : mapping of str to Stream, optional
        The streams that are declared, by name.

    Raises
    ------
    OptionError
        A name is reserved or not a str, `masks` names an unknown or declared stream, or mask options are
        given but no stream is a mask that is not declared.
    """
    declared = declared or {}
    if not isinstance(masks, (str, Iterable)):
        raise OptionError(f"masks={masks!r}: must be names of streams, as in ('mask',)")
    masks = (masks,) if isinstance(masks, str) else tuple(masks)
    taken = [name for name in names if name in RESERVED or not isinstance(name, str) or not name]
    if taken:
        raise OptionError(
            f"a stream cannot be named {taken[0]!r}: must be a str that is not empty and none of "
            f"{', '.join(RESERVED)}"
        )
    if not names:
        raise OptionError("source={}: must name a stream, as in source={'image': path}")
    unknown = [name for name in masks if name not in (*names, "mask")]  # "mask", the default, is allowed
    if unknown:
        raise OptionError(
            f"masks={masks!r}: must name streams, but {unknown[0]!r} is not one of {', '.join(names)}"
        )
    unclear = [name for name in MASKS if name in declared and not declared[name].has_kind]
    if unclear:
        raise OptionError(
            f"the stream {unclear[0]!r} is a mask as a path, but a picture as {declared[unclear[0]]!r}: "
            "give it kind='mask', or kind='image'"
        )
    twice = [name for name in masks if name in declared and masks != MASKS]
    if twice:
        raise OptionError(
            f"masks={masks!r} and Stream(kind={declared[twice[0]].kind!r}) both declare {twice[0]!r}: remove "
            "it from masks="
        )
    plain = [name for name in names if name in masks and name not in declared]
    given = [knob for knob in ("colors", "values") if mask[knob] is not None]
    given += ["ignore"] * (
        mask["ignore"] != StreamSpec.ignore and any(s.kind == "mask" for s in declared.values())
    )
    if given and not plain:
        of_masks = [name for name, stream in declared.items() if stream.kind == "mask"]
        if of_masks:
            raise OptionError(
                f"{given[0]}= is for masks that masks= names, but {of_masks[0]!r} is declared by Stream: "
                f"give it there, Stream(path, kind='mask', {given[0]}=...)"
            )
        raise OptionError(
            f"{given[0]}= is for masks, but none of the streams {', '.join(names)} is in masks=: add the "
            "mask to masks="
        )
    return tuple(
        declared[name].spec(name)
        if name in declared
        else StreamSpec(name, "mask", **mask)
        if name in plain
        else StreamSpec(name)
        for name in names
    )


def streams_of_kinds(
    kinds: Mapping[str, str], masks: Iterable[str], mask: dict[str, Any]
) -> tuple[StreamSpec, ...]:
    """Return streams of given kinds, each of which may have another size.

    Raises
    ------
    OptionError
        A kind is unknown, or `masks` is given too.
    """
    if masks != MASKS:
        raise OptionError(
            f"masks={masks!r}: cannot be used with streams= as a mapping: give the kind 'mask' there"
        )
    for name, kind in kinds.items():
        checked_choice(kind, f"the kind of {name!r} in streams", KINDS)
    of_kind = tuple(name for name, kind in kinds.items() if kind == "mask")
    made = make_streams(tuple(kinds), of_kind, mask)
    return tuple(replace(stream, kind=kinds[stream.name], own_size=True) for stream in made)


def mask_options(
    colors: Mapping[tuple[int, int, int], int] | None,
    values: Mapping[int, int] | Sequence[int] | None,
    ignore: float,
) -> dict[str, Any]:
    """Check the mask options of `open_dataset`; return them as arguments of `StreamSpec`."""
    pairs = None
    if colors is not None:
        if not isinstance(colors, Mapping) or not colors or any(np.shape(c) != (3,) for c in colors):
            raise OptionError(f"colors={colors!r}: must map colours to mask values, as in {{(255, 0, 0): 1}}")
        pairs = tuple(
            (
                tuple(_byte(part, f"a part of colour {color!r} in colors") for part in color),
                _byte(value, "a mask's value in colors"),
            )
            for color, value in colors.items()
        )
    table = None
    if isinstance(values, Mapping):
        changed = {_byte(old, _OF_MASK): _byte(new, _OF_MASK) for old, new in values.items()}
        table = tuple(changed.get(value, value) for value in range(_VALUES))
    elif values is not None:
        if not isinstance(values, Iterable):
            raise OptionError(f"values={values!r}: must be a mapping, or a sequence of {_VALUES} integers")
        table = tuple(_byte(value, _OF_MASK) for value in values)
        if len(table) != _VALUES:
            raise OptionError(
                f"values= has {len(table)} entries; give all {_VALUES}, or a dict of those that change"
            )
    every = table is not None and len(values or ()) == _VALUES
    return {"colors": pairs, "values": table, "smeared": every, "ignore": _byte(ignore, "ignore")}


def _byte(value: object, knob: str) -> int:
    return checked_int(value, knob, 0, _VALUES)

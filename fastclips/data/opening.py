"""From what people have to a `Dataset`: ``fastclips.open``.

::

    folders, or a list of them --files.py--> FolderStorage + Index ─┐
                                    or --saved_index.py--┘           ├──> Dataset
    tar files, packs -----pack_storage.py--> PackStorage + Index ──┤
    arrays ---------------------------------> ArrayStorage + Index ─┘

Here it is only told which of these the user has, and what the streams are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.data.arrays import ArrayStorage
from fastclips.data.files import Files
from fastclips.data.index import Dataset, Index
from fastclips.data.labels import Labels, from_array
from fastclips.data.names import Names, natural_key
from fastclips.data.pack_storage import is_pack, open_pack
from fastclips.data.saved_index import load_or_scan
from fastclips.data.tars import find_tars
from fastclips.errors import OptionError
from fastclips.options import checked_choice, checked_classes, checked_int
from fastclips.reserved import RESERVED
from fastclips.spec import Stream

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

__all__ = ["mask_options", "open_dataset"]

_VALUES = 256  # of a byte
_MASKS = ("mask",)


def open_dataset(
    source: object = None,
    *,
    root: str | os.PathLike[str] | Mapping[str, str | os.PathLike[str]] | None = None,
    columns: str | None = None,
    frames: str | Mapping[str, str] | None = None,
    labels: object = "auto",
    classes: Iterable[str] | None = None,
    masks: Iterable[str] = _MASKS,
    match: str | None = None,
    unpaired: str = "error",
    colors: Mapping[tuple[int, int, int], int] | None = None,
    values: Mapping[int, int] | Sequence[int] | None = None,
    ignore: int = 255,
    index: str | os.PathLike[str] | None = None,
    images: ArrayLike | PathLike[str] | Mapping[str, ArrayLike | PathLike[str]] | None = None,
) -> Dataset:
    """Open videos: folders of frames, a list of them, a pack, or arrays.

    Folders are laid out as ``class/video/frame``: a video is any folder below the root that directly holds
    .jpg, .jpeg, .png, .bmp, .tif or .tiff files; the first folder of its path is its class. Everything is in
    natural order: ``f2`` before ``f10``.

    Parameters
    ----------
    source : path, mapping of str to path, or list
        The folder of class folders, whose one stream is called ``"image"``; or a name and such a folder for
        each stream. Or a pack, the folder that `fastclips.pack` has made: its classes and what its masks mean
        are as they were then, where nothing else is said. Or a list of videos: a CSV with a header, another
        text file (see `columns`), an iterable of rows (dicts, or tuples of path, label, start and length), a
        mapping of columns or a DataFrame. Its columns are ``path``, a folder of frames; ``start`` and
        ``length``, the part of the video that is meant, in frames, counted from 0 whatever the files' names
        count from; ``fps``; and one of ``label`` (a class), ``labels`` (several), ``frame_labels`` (a class
        for each frame) and ``target`` (an array or number).
    root : path, or mapping of str to path, optional
        What a list's paths are relative to; the list's own folder by default, or the working directory. A
        mapping names a folder for each stream.
    columns : str, optional
        The columns of a text file without a header, as in ``"path length label"``, ``"path;label"`` or
        ``"path start length label"``; ``_`` is a column to skip. Every line that is not blank is a row.
    frames : str or mapping of str to str, optional
        Take only frames whose file name matches this pattern, such as ``"img_*.jpg"``, upper and lower case
        being different; for all streams, or for each. Without it, a folder with several sequences is an
        error. With a place for the number, ``"img_{:05d}.jpg"``, and lengths in the list, no directory is
        read, unless ``unpaired="drop"``: the first and last frame of up to 1,000 videos are looked at, the
        others are taken on trust.
    labels : "auto", None or array_like
        Where labels come from: the folders' names, or the list's column; None for no labels, with which every
        folder of frames is a video; for `images`, the labels themselves, an item for each video.
    classes : iterable of str, optional
        Names of the classes in the order of their labels, such as another dataset's ``classes``. A list's
        labels that are text are looked up among them first; if none is there and all are integers, they are
        the classes' numbers.
    masks : iterable of str
        Names of the streams whose frames are label maps.
    match : str, optional
        How to pair frames that have different names: a regular expression that is searched in each name
        without extension. Its groups, or all that it finds, must be the same, digits as numbers.
    unpaired : {"error", "drop"}
        What to do with a frame or a video that a stream or a list's folder lacks.
    colors : mapping of (int, int, int) to int, optional
        What each colour of RGB masks means; without it they are refused.
    values : mapping or sequence of 256 int, optional
        What becomes of each value of a mask; a mapping leaves the others as they are. JPEG smears values, so
        masks may only be JPEG where all 256 are given.
    ignore : int
        The mask's value where there is nothing to learn: in padding and fill.
    index : path, optional
        A file that keeps what was found: made if it is missing, used if neither the list nor the folders
        have changed. Of folders, those are watched that hold no frames themselves (the source, its classes,
        empty ones), up to 10,000, and 1,000 videos, evenly spread; of a list, its roots and 1,000 videos. A
        frame that comes to or goes from another video is not noticed, nor is one that is overwritten: then
        remove the file.
    images : array_like, path of a .npy file, or mapping of str to these, optional
        Videos that are arrays, (N, T, H, W, C) uint8, instead of a source; masks are (N, T, H, W). They are
        copied once, into memory that all processes share; a .npy file, given by its path or as all of
        ``np.load(path, mmap_mode="r")``, is read where it is.

    Returns
    -------
    Dataset
        At least one video, each with at least one frame.

    Raises
    ------
    OptionError
        An argument cannot work, alone or with the others.
    DataError
        Nothing was found, the data are not laid out as above, the list does not parse or names what is not
        there, or streams do not pair.
    """
    names = checked_classes(classes)
    if labels is None and names is not None:
        raise OptionError(f"classes={names!r}: names classes, but labels=None wants no labels; leave one out")
    checked_choice(unpaired, "unpaired", ("error", "drop"))
    mask = mask_options(colors, values, ignore)
    if images is not None:
        given = {"source": source, "root": root, "columns": columns, "frames": frames, "match": match}
        given["index"] = index
        wrong = [name for name, value in given.items() if value is not None]
        if wrong:
            raise OptionError(f"{wrong[0]}= is for frames that are files; images= stands alone")
        return _open_arrays(images, labels, names, masks, mask)
    if source is None:
        raise OptionError("fastclips.open needs a source (a folder or a list) or images=")
    if not (labels is None or isinstance(labels, str)):
        raise OptionError("labels= takes values for images= alone; give a list with a column label instead")
    if labels is not None:
        checked_choice(labels, "labels", ("auto",))
    if isinstance(source, (str, PathLike)) and is_pack(Path(source)):
        given = {"root": root, "columns": columns, "frames": frames, "match": match, "index": index}
        wrong = [name for name, value in given.items() if value is not None]
        if wrong:
            raise OptionError(f"{wrong[0]}= is for frames that are files; {str(source)!r} is a pack")
        return _open_pack(source, labels is not None, names, masks, mask)
    files = Files(
        *_sources(source, root, columns),
        columns=columns,
        frames=frames,
        labelled=labels is not None,
        classes=names,
        match=match,
        drop=unpaired == "drop",
    )
    streams = _streams(tuple(files.roots), masks, mask)
    if index is None:
        storage, table, _ = files.open()
    else:
        storage, table = load_or_scan(index, files)
    return Dataset(storage, table, streams)


def _open_pack(
    source: str | PathLike[str],
    labelled: bool,
    classes: tuple[str, ...] | None,
    masks: Iterable[str],
    mask: dict[str, Any],
) -> Dataset:
    """Open a pack; what is said of its labels and masks counts for more than what it says itself."""
    storage, table, streams = open_pack(source)
    if not labelled:
        table = replace(table, labels=None, classes=())
    elif classes is not None:
        table = table.renamed(classes)
    kept = [stream for stream in streams if stream.mask]
    if masks == _MASKS:
        masks = tuple(stream.name for stream in kept)
    said = _streams([stream.name for stream in streams], masks, mask)
    return Dataset(storage, table, tuple(map(_combined, streams, said)))


def _combined(packed: Stream, said: Stream) -> Stream:
    """Return a stream of a pack: as it was packed, but for what was said now."""
    if packed.mask != said.mask or not packed.mask:
        return replace(said, channels=packed.channels)
    default = Stream("", mask=True)
    changed = {
        name: getattr(said, name)
        for name in ("colors", "values", "smeared", "ignore")
        if getattr(said, name) != getattr(default, name)
    }
    return replace(packed, **changed)


def _sources(
    source: object,
    root: str | os.PathLike[str] | Mapping[str, str | os.PathLike[str]] | None,
    columns: str | None,
) -> tuple[dict[str, str | os.PathLike[str]], object]:
    """Tell folders from lists; return each stream's root and the list, if there is one."""
    folders: dict[str, Any] | None = None
    if isinstance(source, Mapping) and all(isinstance(v, (str, PathLike)) for v in source.values()):
        folders = dict(source)
    elif isinstance(source, (str, PathLike)) and (not Path(source).is_file() or find_tars(source)):
        folders = {"image": source}
    if folders is not None:
        for knob, value in (("root", root), ("columns", columns)):
            if value is not None:
                raise OptionError(f"{knob}={value!r}: is for lists, but {source!r} is no file that holds one")
        return _checked_roots(folders), None
    if isinstance(root, Mapping):
        return _checked_roots(root), source
    if root is not None and not isinstance(root, (str, PathLike)):
        raise OptionError(f"root={root!r}: must be a folder, or a mapping of streams to folders")
    if root is None:
        root = Path(source).absolute().parent if isinstance(source, (str, PathLike)) else Path.cwd()
    return _checked_roots({"image": root}), source


def _checked_roots(roots: Mapping[str, str | os.PathLike[str]]) -> dict[str, str | os.PathLike[str]]:
    packs = [folder for folder in roots.values() if is_pack(Path(folder))]
    if packs:
        raise OptionError(
            f"{str(packs[0])!r} is a pack: open it by itself, which gives all its streams, and choose videos "
            "by select()"
        )
    return dict(roots)


def _open_arrays(
    images: ArrayLike | PathLike[str] | Mapping[str, ArrayLike | PathLike[str]],
    labels: object,
    classes: tuple[str, ...] | None,
    masks: Iterable[str],
    mask: dict[str, Any],
) -> Dataset:
    names = tuple(images) if isinstance(images, Mapping) else ("image",)
    streams = _streams(names, masks, mask)
    if mask["colors"] is not None:
        raise OptionError("colors= is for masks that are files; map the colours of an array before")
    storage = ArrayStorage.open(images, masks=tuple(s.name for s in streams if s.mask))
    streams = tuple(
        stream if stream.mask else Stream(stream.name, channels=storage.channels(stream.name))
        for stream in streams
    )
    videos, frames = storage.videos, storage.frames
    found: Labels | None = None
    if not (labels is None or (isinstance(labels, str) and labels == "auto")):
        found, classes = from_array(labels, classes, time_steps=frames, key=natural_key)
        if len(found) != videos:
            raise OptionError(f"labels= has {len(found)} items for {videos} videos; give one for each")
    table = Index(
        names=Names.of(map(str, range(videos))),
        keys=np.arange(videos, dtype=np.int64),
        starts=np.zeros(videos, np.int64),
        frame_counts=np.full(videos, frames, np.int64),
        labels=found,
        classes=classes or (),
    )
    return Dataset(storage, table, streams)


def mask_options(
    colors: Mapping[tuple[int, int, int], int] | None,
    values: Mapping[int, int] | Sequence[int] | None,
    ignore: int,
) -> dict[str, Any]:
    """Check what is said of masks' values, as for `open_dataset`; return the options of their `Stream`."""
    pairs = None
    if colors is not None:
        if not isinstance(colors, Mapping) or not colors or any(np.shape(c) != (3,) for c in colors):
            raise OptionError(f"colors={colors!r}: must map colours to values, as in {{(255, 0, 0): 1}}")
        pairs = tuple(
            (tuple(_byte(part, f"colors={color!r}, a colour") for part in color), _byte(value, "colors"))
            for color, value in colors.items()
        )
    table = None
    if isinstance(values, Mapping):
        changed = {_byte(old, "values"): _byte(new, "values") for old, new in values.items()}
        table = tuple(changed.get(value, value) for value in range(_VALUES))
    elif values is not None:
        if not isinstance(values, Iterable):
            raise OptionError(f"values={values!r}: must be a mapping, or a sequence of {_VALUES} integers")
        table = tuple(_byte(value, "values") for value in values)
        if len(table) != _VALUES:
            raise OptionError(
                f"values= has {len(table)} entries; give all {_VALUES}, or a dict of those that change"
            )
    every = table is not None and len(values or ()) == _VALUES
    return {"colors": pairs, "values": table, "smeared": every, "ignore": _byte(ignore, "ignore")}


def _byte(value: object, knob: str) -> int:
    return checked_int(value, knob if "," in knob else f"{knob}, a mask's value", 0, _VALUES)


def _streams(names: Sequence[str], masks: Iterable[str], mask: dict[str, Any]) -> tuple[Stream, ...]:
    if not isinstance(masks, (str, Iterable)):
        raise OptionError(f"masks={masks!r}: must be names of streams, as in ('mask',)")
    masks = (masks,) if isinstance(masks, str) else tuple(masks)
    taken = [name for name in names if name in RESERVED or not isinstance(name, str) or not name]
    if taken:
        raise OptionError(
            f"a stream cannot be called {taken[0]!r}: it must be a text, and not {', '.join(RESERVED)}"
        )
    if not names:
        raise OptionError("source={} names no stream: give a path, or a dict such as {'image': path}.")
    unknown = [name for name in masks if name not in (*names, "mask")]  # "mask" is the default
    if unknown:
        raise OptionError(f"masks={masks!r} names {unknown[0]!r}, but the streams are {', '.join(names)}.")
    said = [knob for knob in ("colors", "values") if mask[knob] is not None]
    if said and not any(name in masks for name in names):
        raise OptionError(
            f"{said[0]}= is for masks, but none of {', '.join(names)} is one: name it in masks="
        )
    return tuple(Stream(name, mask=True, **mask) if name in masks else Stream(name) for name in names)

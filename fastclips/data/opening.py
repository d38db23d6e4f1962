"""``fastclips.open``: folders, lists, tar files, packs or arrays -> a `Dataset`.

::

    folders, or a list of them --files.py--> FolderStorage + Index ─┐
                                    or --saved_index.py--┘           ├──> Dataset
    video files ----------------(the same)-> VideoStorage + Index ──┤
    tar files, packs -----pack_storage.py--> PackStorage + Index ──┤
    URL of a pack ---------remote_pack.py--> PackStorage + Index ──┤
    arrays ---------------------------------> ArrayStorage + Index ─┘

This module only decides which of these the arguments describe, and makes the streams.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.data.arrays import ArrayStorage
from fastclips.data.checks import check_label_name
from fastclips.data.dataset import Dataset
from fastclips.data.encoding import from_array
from fastclips.data.files import Files
from fastclips.data.index import Index
from fastclips.data.label_options import (
    check_not_array,
    checked_kinds,
    classes_by_label,
    only_default,
    refuse_kinds,
)
from fastclips.data.names import Names, natural_key
from fastclips.data.packs import open_pack, open_remote_pack
from fastclips.data.remote_pack import RemotePack
from fastclips.data.roots import Root
from fastclips.data.saved_index import load_or_scan
from fastclips.data.series import BY_NUMBER, SeriesStorage, y_of
from fastclips.data.stores import is_url, split_url
from fastclips.data.streams import MASKS, make_streams, mask_options, merge_frames, split_declared
from fastclips.data.video_storage import VideoStorage
from fastclips.errors import DataError, OptionError
from fastclips.options import checked_choice, checked_pattern
from fastclips.reserved import LABEL
from fastclips.spec import StreamSpec

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence

    from numpy.typing import ArrayLike

    from fastclips.data.labels import Labels
    from fastclips.data.pack_storage import PackStorage
    from fastclips.data.storage import Storage
    from fastclips.data.streams import Stream

__all__ = ["open_dataset"]


def open_dataset(
    source: object = None,
    *,
    root: str | os.PathLike[str] | Mapping[str, str | os.PathLike[str]] | None = None,
    columns: str | None = None,
    frames: str | Mapping[str, str] | None = None,
    videos: str | None = None,
    labels: object = "auto",
    classes: Iterable[str] | Mapping[str, Iterable[str]] | None = None,
    masks: str | Iterable[str] = MASKS,
    match: str | None = None,
    unpaired: str = "error",
    colors: Mapping[tuple[int, int, int], int] | None = None,
    values: Mapping[int, int] | Sequence[int] | None = None,
    ignore: int = 255,
    index: str | os.PathLike[str] | None = None,
    images: ArrayLike | PathLike[str] | Mapping[str, ArrayLike | PathLike[str]] | None = None,
    storage_options: Mapping[str, Any] | None = None,
    local: str | os.PathLike[str] | None = None,
    limit: str | int | None = None,
) -> Dataset:
    r"""Open a dataset: folders of frames, video files, a list of videos, tar files, a pack, or arrays.

    ``fastclips.open`` is this function. Files of frames are .jpg, .jpeg, .jfif, .png, .bmp, .tif, .tiff or
    .webp (or .fcd, of packs). Everything is in natural order: ``f2`` comes before ``f10``. Video files are
    .avi, .flv, .m4v, .mkv, .mov, .mp4, .mpeg, .mpg, .ts, .webm or .wmv, and take the extra ``video``.

    Parameters
    ----------
    source : path, mapping of str to path or Stream, or list of videos, optional
        The data, one of:

        - A folder ``class/video/frame.jpg``. A video is a folder, at any depth, that directly holds frames.
          Its class is the first folder of its path. The stream is named ``"image"``.
        - A folder of video files, ``class/video.mp4``, at any depth, or a video file. Files that are in no
          class folder have no labels. There is one stream, ``"image"``. A folder with both video files and
          frames is refused, unless `frames` selects the frames.
        - A mapping of stream names to folders of frames, with the same videos and frames in each. A `Stream`
          declares what a folder holds: a mask of its own values, flow, depth, or pictures of another size.
        - A tar file with this layout, or a folder of tar files.
        - A pack: a folder made by `fastclips.pack`. It keeps the classes and the meaning of its masks;
          options given here override them.
        - The URL of a pack in an object store: ``s3://``, ``gs://``, ``az://`` or ``https://``. It takes the
          extra ``cloud``. A ``file://`` URL is a path.
        - A list of videos: the path of a CSV file with a header, or of another text file with `columns`; an
          iterable of rows, dicts or tuples of (path, label, start, length); a mapping of columns, or a
          DataFrame. See Notes.
    root : path, or mapping of str to path or Stream, optional
        Of a list: the folder that its paths are relative to, or such a folder for each stream, which a
        `Stream` may declare, as in ``{"image": "frames", "depth": fc.Stream("depth", kind="depth")}``. By
        default, the folder of the text file, or the current folder.
    columns : str, optional
        Of a text file without a header: its columns, such as ``"path length label"``, ``"path;label"`` or
        ``"path start length label"``; ``_`` skips a field. The separator between the names is that of the
        file. Every line that is not blank is a row.
    frames : str or mapping of str to str, optional
        Select frames by file name, case-sensitively: a pattern such as ``"img_*.jpg"``, for all streams or
        for each. A folder with several sequences of frames needs it. With a placeholder for the number,
        ``"img_{:05d}.jpg"``, and lengths in the list, no directory is read unless `unpaired` is given: only
        the first and last frame of up to 1,000 videos are checked.
    videos : str, optional
        Where a folder holds the frames of several videos, such as ``clip3_0001.jpg``: a regular expression
        that is searched in each name without extension, such as ``r"(clip\d+)_"``. Its groups, joined by
        ``_``, or its whole match, name the video below its folder: ``class/clip3``. The path of a list is
        then the folder and this name.
    labels : "auto", None, mapping of str to str, or array_like
        ``"auto"`` takes labels from the names of folders, or from the column of the list. None opens the data
        without labels; every folder of frames is then a video. Of a list with several targets: the columns
        and their kinds, as in ``{"verb": "label", "noun": "label", "state": "frame_target"}``, which
        `ClipLoader` serves by these names. With `images`, an array of labels, one item per video.
    classes : iterable of str, or mapping of str to these, optional
        Names of the classes in the order of their numbers, such as ``classes`` of another dataset. Labels of
        a list that are text are looked up in it first; if none is found and all are integers, they are class
        numbers. With several targets, a mapping by their names, as in ``{"verb": train.classes_of("verb")}``.
    masks : str or iterable of str
        Names of the streams that are masks: label maps, (H, W).
    match : str, optional
        Pairs frames of streams whose names differ: a regular expression that is searched in each name without
        extension. Frames belong together if its groups, or its whole match, are equal; digits compare as
        numbers. With flow in two series, it is ``"[0-9]+$"`` by default, the number at the end.
    unpaired : {"error", "drop", "ignore"}
        What to do with a video or a frame that is missing in a stream or in the folders of a list, and with a
        video file that cannot be read or holds no frame: raise an error, or drop it in all streams.
        ``"ignore"`` keeps the frames of the pictures: where a mask has no file, all its pixels are `ignore`.
        Pictures must not be missing.
    colors : mapping of (int, int, int) to int, optional
        Value of each colour of RGB masks. RGB masks are an error without it.
    values : mapping of int to int, or sequence of 256 int, optional
        New value of each value of a mask. A mapping leaves other values unchanged. JPEG blurs values, so JPEG
        masks are an error unless all 256 values are given.
    ignore : int
        Value of mask pixels without a label, 0 to 255: padding and fill have it.
    index : path, optional
        File that saves the index. It is made if it does not exist, and used if the list and the watched
        folders have not changed. See Notes.
    images : array_like, path of a .npy file, or mapping of str to these or to Stream, optional
        Arrays instead of `source`: uint8, (N, T, H, W, C) of pictures, (N, T, H, W) of masks; float32,
        (N, T, H, W, 2) of flow; uint8, uint16 or float32, (N, T, H, W) or (N, T, H, W, 1) of depth. Arrays
        are copied once, into memory that all processes share. A .npy file is read in place: give its path, or
        all of ``np.load(path, mmap_mode="r")``.
    storage_options : mapping of str to object, optional
        Of a URL: options of obstore's store and client by their names, such as ``region``, ``endpoint``,
        ``skip_signature``, ``allow_http`` (without it, plain HTTP is refused), ``timeout`` and
        ``retry_timeout`` (seconds). Credentials are found as the provider's own tools find them, unless they
        are given here. They reach workers, but no message, state or file.
    local : path, optional
        Of a URL: a folder on a local disk that keeps what was read, for later epochs and runs. Processes of a
        machine may share it.
    limit : str or int, optional
        Most bytes that `local` keeps, at least 64 MiB, such as ``"200GiB"``. What was used least recently is
        removed. By default, there is no limit.

    Returns
    -------
    Dataset
        At least one video, each with at least one frame.

    Raises
    ------
    OptionError
        An argument has a wrong value, or does not work with the others.
    DataError
        No video was found, the data have another layout, the list cannot be parsed or names missing frames,
        or streams do not pair.

    See Also
    --------
    Stream : Declares a stream that is no picture of the common size.
    Dataset.of : Makes a dataset of a storage of your own.
    Dataset.with_labels : Adds labels to any dataset, such as numbers for each frame.
    pack : Writes a dataset as a pack.

    Notes
    -----
    A list has the column ``path``, a folder of frames or a video file. It may have ``start`` and ``length``,
    the part of the video to use, in frames counted from 0 whatever the numbers of the files; or ``first`` and
    ``last``, or one of them: the frames whose files have these numbers, and those between; or ``start_time``
    and ``end_time``, in seconds; ``fps``; and one of the targets ``label`` (a class), ``labels`` (several
    classes), ``frame_labels`` (a class for each frame), ``target`` (a number or array) and ``frame_target``
    (numbers for each frame). Columns of other names, or several targets, are named in `labels`.

    A ``frame_target`` is an array (frames, ...) of floats for the frames of the row, all of one shape per
    frame. Floats keep their dtype; integers and lists become float32. In a text file it is the path of a .npy
    file with such an array, relative to the root, of the first stream if there are several. ``frame_labels``
    and ``target`` in a text file may be such paths, too.

    If a path of a list is a file, it is a video file. Otherwise it is a folder of frames, with this name or
    without the extension of a video file; if there is none, a video file of this name, such as ``clip.mp4``
    for ``clip``. A list of both video files and frames is refused, and so is ``clip.mp4`` beside a folder
    ``clip``.

    ``start_time`` and ``end_time`` select the frames whose time t has start_time <= t < end_time. Of a video
    file, t is the frame's presentation time minus that of the file's first frame. In most files the first
    frame has the time 0, so these are the seconds of players, of FFmpeg and of torchcodec. Of frames in
    folders, frame f has the time f / fps, which takes the column ``fps``. Without the column ``start_time``,
    rows begin with the first frame. Without ``end_time``, or where it is inf, they end with the last. An
    empty cell is an error.

    A row that exceeds its video is an error with ``start`` and ``length``. Of ``first`` and ``last``, or
    ``end_time``, the row has the frames that exist, and one warning counts such rows. An ``end_time`` may
    exceed the video by a frame, or 0.1 seconds if that is longer, without a warning.

    A saved index watches folders without frames (the source, classes, empty folders), up to 10,000 of each
    stream, and 1,000 videos or video files, evenly spread; of a list, the roots, 1,000 videos and 1,000 .npy
    files. Added or removed frames of other videos, and overwritten frames, are not noticed: delete the file
    after such changes. A video file that has changed is an error when it is read.

    Examples
    --------
    >>> fc.open("frames")
    <Dataset: 6 videos, 72 frames, 2 classes; image>

    A list of videos, whose classes are numbers:

    >>> data = fc.open("train.txt", root="frames", columns="path label")
    >>> len(data), data.classes
    (6, ('0', '1'))
    >>> fc.open([{"path": "class_0/video_0", "start": 2, "length": 8}], root="frames")
    <Dataset: 1 videos, 8 frames, 0 classes; image>

    Several videos in one folder:

    >>> data = fc.open("frames", labels=None, videos=r"_(\d\d\d\d)\d")  # frames 1 to 9 and 10 to 12
    >>> data.index.names[:2], data.index.frame_counts[:2].tolist()
    (['class_0/video_0/0000', 'class_0/video_0/0001'], [9, 3])

    Images and their masks:

    >>> fc.open({"image": "frames", "mask": "masks"}, ignore=255)
    <Dataset: 6 videos, 72 frames, 2 classes; image, mask (mask)>

    Video files, which need no extraction, and a part of a file in seconds:

    >>> fc.open("videos")
    <Dataset: 4 videos, 96 frames, 2 classes; image>
    >>> fc.open([{"path": "a/v0.mp4", "start_time": 0.2, "end_time": 0.4}], root="videos")
    <Dataset: 1 videos, 5 frames, 0 classes; image>

    Arrays:

    >>> fc.open(images=np.zeros((8, 16, 32, 32, 3), np.uint8), labels=[0, 1] * 4)
    <Dataset: 8 videos, 128 frames, 2 classes; image>
    """
    kinds = checked_kinds(labels)
    more = classes_by_label(classes, kinds)
    if labels is None and more:
        raise OptionError(f"classes={classes!r}: cannot be used with labels=None; remove one of them")
    checked_choice(unpaired, "unpaired", ("error", "drop", "ignore"))
    mask = mask_options(colors, values, ignore)
    source, declared = split_declared(source)
    root, of_root = split_declared(root)
    images, of_arrays = split_declared(images)
    declared.update(of_root)
    if images is not None:
        given = {
            "source": source,
            "root": root,
            "columns": columns,
            "frames": frames,
            "videos": videos,
            "match": match,
        }
        given |= {"index": index, "storage_options": storage_options, "local": local, "limit": limit}
        _refuse_given(given, "is for frames in files; remove it, or remove images=")
        refuse_kinds(kinds, "arrays")
        return _open_arrays(images, labels, only_default(more), masks, mask, of_arrays)
    if source is None:
        raise OptionError("source=None: give a folder, a list of videos, a tar, a pack, or images=")
    source, url = split_url(source)
    if url is None:
        given = {"storage_options": storage_options, "local": local, "limit": limit}
        _refuse_given(given, "is for the URL of a pack in an object store; remove it")
    if isinstance(source, np.ndarray):
        raise OptionError(
            f"source= is an array of {source.dtype} of shape {source.shape}: give arrays of frames by "
            "images=, as in fc.open(images=array)"
        )
    check_not_array(labels)
    path = Root(source) if isinstance(source, (str, PathLike)) and url is None else None
    if url is not None or (path is not None and path.is_pack):
        given = {
            "root": root,
            "columns": columns,
            "frames": frames,
            "videos": videos,
            "match": match,
            "index": index,
        }
        remote = None if url is None else RemotePack.at(url, storage_options, local, limit)
        name = remote.url if remote is not None else str(path)
        _refuse_given(given, f"is for frames in files, but {name!r} is a pack; remove it")
        refuse_kinds(kinds, "a pack")
        opened = open_remote_pack(remote) if remote is not None else open_pack(name)
        return _of_pack(opened, labels is not None, more, masks, mask)
    roots, records = _sources(source, path, root, columns)
    if records is None:
        refuse_kinds(kinds, "folders or tar files")
    for name in kinds or ():
        check_label_name(name, tuple(roots), "a column in labels")
    pairs = [name for name, stream in declared.items() if stream.is_pair]
    names = [name for name in roots if name not in map(y_of, pairs)]
    streams = make_streams(names, masks, mask, declared)
    files = Files(
        roots,
        records,
        columns=columns,
        frames=merge_frames(frames, declared),
        videos=None if videos is None else checked_pattern(videos, "videos").pattern,
        labelled=labels is not None,
        classes=more.pop(LABEL, None) if kinds is not None else only_default(more),
        match=BY_NUMBER if pairs and match is None else match,
        unpaired=unpaired,
        masks=frozenset(stream.name for stream in streams if stream.mask),
        kinds=kinds,
        named_classes=more if kinds is not None else {},
    )
    if index is None:
        storage, table, _ = files.open()
    else:
        storage, table = load_or_scan(index, files)
    _refuse_masks(storage, streams)
    return Dataset(SeriesStorage(storage, pairs) if pairs else storage, table, streams)


def _refuse_given(options: Mapping[str, object], why: str) -> None:
    """Raise OptionError if one of some options is given."""
    for name, value in options.items():
        if value is not None:
            raise OptionError(f"{name}= {why}")


open_dataset.__module__, open_dataset.__name__, open_dataset.__qualname__ = "fastclips", "open", "open"


def _refuse_masks(storage: Storage, streams: Sequence[StreamSpec]) -> None:
    """Raise OptionError if video files are to be masks."""
    if isinstance(storage, VideoStorage) and streams[0].mask:
        raise OptionError(
            f"stream {streams[0].name!r}: is a mask by masks=, but video files hold pictures, whose values "
            "are compressed: name the stream 'image', or set masks=()"
        )


def _of_pack(
    opened: tuple[PackStorage, Index, tuple[StreamSpec, ...]],
    labelled: bool,
    classes: Mapping[str, tuple[str, ...]],
    masks: str | Iterable[str],
    mask: dict[str, Any],
) -> Dataset:
    """Return a pack as a dataset; options for labels and masks override those in the pack."""
    storage, table, streams = opened
    if not labelled:
        table = replace(table, labels=None, classes=(), named={})
    elif classes:
        table = table.renamed(classes)
    kept = [stream for stream in streams if stream.mask]
    if masks == MASKS:
        masks = tuple(stream.name for stream in kept)
    given = make_streams([stream.name for stream in streams], masks, mask)
    return Dataset(storage, table, tuple(map(_combined, streams, given)))


def _combined(packed: StreamSpec, given: StreamSpec) -> StreamSpec:
    """Return a stream as it was packed, except for the options given now."""
    if packed.is_field:
        if given.mask:
            raise OptionError(
                f"masks= names {packed.name!r}, which was packed as kind={packed.kind!r}: remove it from "
                "masks="
            )
        return packed
    if packed.mask != given.mask or not packed.mask:
        return replace(given, channels=packed.channels, own_size=packed.own_size)
    default = StreamSpec("", kind="mask")
    changed = {
        name: getattr(given, name)
        for name in ("colors", "values", "smeared", "ignore")
        if getattr(given, name) != getattr(default, name)
    }
    return replace(packed, **changed)


def _sources(
    source: object,
    path: Root | None,
    root: str | os.PathLike[str] | Mapping[str, str | os.PathLike[str]] | None,
    columns: str | None,
) -> tuple[dict[str, Root], object]:
    """Return the root of each stream, and the list of videos or None; `path` is a source that is a path."""
    folders: dict[str, Root] | None = None
    if isinstance(source, Mapping) and all(isinstance(value, (str, PathLike)) for value in source.values()):
        folders = {name: Root(value) for name, value in source.items()}
    elif path is not None and (not path.is_file or path.tars or path.movie):
        folders = {"image": path}
    if path is not None and path.is_missing:
        raise DataError(f"{path.absolute!r} does not exist: there is no such file or folder.")
    if folders is not None:
        for knob, value in (("root", root), ("columns", columns)):
            if value is not None:
                raise OptionError(
                    f"{knob}={value!r}: is for lists of videos, but {source!r} is not a list file"
                )
        return _checked_roots(folders), None
    if isinstance(root, Mapping):
        return _checked_roots({name: Root(value) for name, value in root.items()}), source
    if root is not None and not isinstance(root, (str, PathLike)):
        raise OptionError(f"root={root!r}: must be a folder, or a mapping of streams to folders")
    if root is None:
        root = Root("." if path is None else fspath(path.path)).absolute
        root = root if path is None else Path(root).parent
    return _checked_roots({"image": Root(root)}), source


def _checked_roots(roots: dict[str, Root]) -> dict[str, Root]:
    urls = [str(root) for root in roots.values() if is_url(root.path)]
    if urls:
        raise OptionError(
            f"{urls[0]!r} is a URL, but object stores hold packs, which are opened alone: pack all streams "
            "into one pack, and open its URL"
        )
    packs = [root for root in roots.values() if root.is_pack]
    if packs:
        raise OptionError(
            f"{str(packs[0])!r} is a pack: open it alone, which gives all its streams, and choose videos "
            "with select()"
        )
    return roots


def _open_arrays(
    images: ArrayLike | PathLike[str] | Mapping[str, ArrayLike | PathLike[str]],
    labels: object,
    classes: tuple[str, ...] | None,
    masks: str | Iterable[str],
    mask: dict[str, Any],
    declared: Mapping[str, Stream],
) -> Dataset:
    names = tuple(images) if isinstance(images, Mapping) else ("image",)
    streams = make_streams(names, masks, mask, declared)
    if any(stream.colors is not None for stream in streams):
        raise OptionError("colors= is for masks in files; convert the colours of arrays to values before")
    patterned = [name for name, stream in declared.items() if stream.frames is not None]
    if patterned:
        raise OptionError(f"Stream(frames=) of {patterned[0]!r} is for frames in files; remove it")
    storage = ArrayStorage.open(
        images,
        kinds={stream.name: stream.kind for stream in streams},
        own_sizes={stream.name for stream in streams if stream.own_size},
    )
    streams = tuple(
        replace(stream, channels=storage.channels(stream.name))
        if stream.kind == "image"
        else replace(stream, dtype=storage.dtype(stream.name))
        if stream.kind == "depth"
        else stream
        for stream in streams
    )
    videos, frames = storage.videos, storage.frames
    found: Labels | None = None
    if not (labels is None or (isinstance(labels, str) and labels == "auto")):
        found, classes = from_array(labels, classes, time_steps=frames, key=natural_key)
        if len(found) != videos:
            raise OptionError(f"labels= has {len(found)} items for {videos} videos; give one for each video")
    table = Index(
        names=Names.of(map(str, range(videos))),
        keys=np.arange(videos, dtype=np.int64),
        starts=np.zeros(videos, np.int64),
        frame_counts=np.full(videos, frames, np.int64),
        labels=found,
        classes=classes or (),
    )
    return Dataset(storage, table, streams)

"""A dataset -> tasks -> shards -> a pack: the work of `fastclips.pack`, after its arguments are checked."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from tqdm import tqdm

from fastclips.data.columns import Columns
from fastclips.data.index import Index
from fastclips.data.pack_storage import stream_meta
from fastclips.data.scan import evenly
from fastclips.data.storage import opened
from fastclips.data.stored import StoredVideos
from fastclips.data.video_storage import VideoStorage
from fastclips.errors import DataError, FrameError, OptionError
from fastclips.options import bar_disabled
from fastclips.packing.parts import Job, Task
from fastclips.packing.remote_shards import RemoteShards
from fastclips.packing.shards import Shards
from fastclips.packing.workers import do_tasks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastclips.data.dataset import Dataset
    from fastclips.data.storage import Storage
    from fastclips.data.stores import RemoteFolder
    from fastclips.packing.encoder import Encoding
    from fastclips.packing.workers import OtherWorkers

__all__ = ["Options", "make_pack"]

_RUN = 64  # frames of a task
_SAMPLED = 1000  # videos whose first frames identify the data
_log = logging.getLogger(__name__)


class Options(NamedTuple):
    """How a pack is made.

    Parameters
    ----------
    encoding : Encoding
        How frames are encoded.
    shard_bytes : int
        A shard is closed after the video with which it reaches this size.
    drop : bool
        Whether videos with unreadable frames are left out.
    """

    encoding: Encoding
    shard_bytes: int
    drop: bool


def make_pack(
    dataset: Dataset, target: Path | RemoteFolder, options: Options, workers: int | OtherWorkers
) -> tuple[dict[str, Any], bool]:
    """Make a pack, or complete it.

    Parameters
    ----------
    dataset : Dataset
        The data.
    target : Path or RemoteFolder
        The pack's folder: an absolute path, or in an object store.
    options : Options
        How it is made.
    workers : int or OtherWorkers
        Processes; 0 does the work in the caller.

    Returns
    -------
    totals : dict
        The fields of `fastclips.packing.shards.Totals`; `dropped` has names instead of numbers.
    resumed : bool
        Whether an earlier run made a part of the pack.

    Raises
    ------
    OptionError, DataError, EngineError
        As `fastclips.pack`.
    OSError
        The pack cannot be written.
    """
    videos = _videos(dataset, options.encoding.short_side)
    made = _made(dataset, videos, options)
    make = Shards if isinstance(target, Path) else RemoteShards
    with make(
        target,  # type: ignore[arg-type] # of the kind that the class takes
        made,
        streams=len(dataset.streams),
        shard_bytes=options.shard_bytes,
        drop=options.drop,
    ) as shards:
        if shards.complete:
            return shards.totals_made(), True
        resumed = shards.next_video > 0
        _fill(shards, dataset, videos, options.encoding, workers)
        totals = {**vars(shards.totals), "dropped": [videos.names[video] for video in shards.totals.dropped]}
        if not shards.totals.videos:
            first = shards.totals.problems[0]
            shards.discard()
            raise DataError(f"no video could be packed; the first error: {first.where!r}: {first.why}")
        shards.save(_index(shards, dataset, videos, options.encoding, {"made": made, "totals": totals}))
    return totals, resumed


def _videos(dataset: Dataset, short_side: int | None) -> StoredVideos:
    """Return the videos of a dataset, in the order of their first rows."""
    wrong = [stream.name for stream in dataset.streams if "/" in stream.name or "\0" in stream.name]
    if wrong:
        raise OptionError(
            f"stream={wrong[0]!r}: must have no slash and no NUL, because it becomes a part of file names"
        )
    fields = [stream for stream in dataset.streams if stream.is_field]
    if fields and short_side is not None:
        raise OptionError(
            f"short_side={short_side}: would shrink the frames, but numbers of {fields[0].name!r} "
            f"({fields[0].kind}) are packed as they are: remove short_side=, and resize when loading"
        )
    return StoredVideos.of(dataset.index)


def _made(dataset: Dataset, videos: StoredVideos, options: Options) -> str:
    """Return a digest of the data and the options; of frames, it covers the first of some videos."""
    digest = blake2b(digest_size=16)
    columns, meta = dataset.index.columns()
    storage = dataset.storage
    sampled = evenly(range(len(videos.keys)), _SAMPLED)
    frames = [
        (stream.name, int(videos.keys[row]), int(videos.firsts[row]))
        for stream in dataset.streams
        for row in sampled
    ]
    paths = [storage.where(*frame) for frame in frames]
    settings = [*options.encoding.settings(), options.shard_bytes, options.drop]
    digest.update(json.dumps([meta, stream_meta(dataset.streams), settings, paths], sort_keys=True).encode())
    digest.update(dataset.index.names.digest())
    for name, column in columns.items():
        digest.update(f"{name} {column.dtype} {column.shape}".encode())
        digest.update(np.ascontiguousarray(column).data)
    for frame in frames:
        digest.update(_content(storage, frame))
    return digest.hexdigest()


def _content(storage: Storage, frame: tuple[str, int, int]) -> bytes:
    """Return a digest of a frame; for a video file, whose frames are costly, of its size and time."""
    try:
        if isinstance(storage, VideoStorage):
            status = Path(storage.path(frame[1])).stat()
            data = f"{status.st_size} {status.st_mtime_ns}".encode()
        else:
            read = opened(storage).read(*frame)
            data = np.ascontiguousarray(read).tobytes() if isinstance(read, np.ndarray) else read or b""
    except (OSError, FrameError):
        data = b""
    return blake2b(data, digest_size=16).digest()


def _tasks(storage: Storage, videos: StoredVideos, start: int) -> Iterator[Task]:
    most = np.iinfo(np.int64).max if isinstance(storage, VideoStorage) else _RUN
    for number, run in enumerate(videos.runs(most, start)):
        yield Task(number, *run)


def _fill(
    shards: Shards, dataset: Dataset, videos: StoredVideos, encoding: Encoding, workers: int | OtherWorkers
) -> None:
    """Write all shards that are missing."""
    job = Job(dataset.storage, dataset.streams, encoding, videos.names, str(shards.parts_folder))
    start = shards.next_video
    known = bool((videos.counts > 0).all())
    unit, total = (" frames", int(videos.counts.sum())) if known else (" videos", len(videos.keys))
    done = int(videos.counts[:start].sum()) if known else start
    before, written, frames = shards.totals.shards, 0, 0
    began = monotonic()
    with tqdm(
        total=total, initial=done, desc="packing", unit=unit, disable=bar_disabled(), leave=False
    ) as bar:
        for part in do_tasks(job, _tasks(dataset.storage, videos, start), workers, "packing"):
            written += part.size
            shards.add(part)
            frames += len(part.lengths) // len(dataset.streams)
            rate = "" if known else f"{frames / (monotonic() - began):,.0f} frames/s, "
            bar.set_postfix_str(f"{rate}{(before + written) / 2**20:,.0f} MiB", refresh=False)
            bar.update(part.task.frames if known else int(part.task.last))
    shards.finish(len(videos.keys))


def _index(
    shards: Shards, dataset: Dataset, videos: StoredVideos, encoding: Encoding, meta: dict[str, Any]
) -> Columns:
    """Make the pack's index from the records of its shards."""
    streams = tuple(
        replace(stream, colors=None) if stream.mask and (encoding.raw or encoding.short_side) else stream
        for stream in dataset.streams
    )
    numbers, counts, fps, columns, more = shards.lay_out(videos.names, [stream.name for stream in streams])
    numbers_of = np.full(len(videos.keys), -1, np.int64)
    numbers_of[numbers] = np.arange(len(numbers))
    order = np.argsort(videos.keys)
    of_row = order[np.searchsorted(videos.keys[order], dataset.index.keys)]
    rows = np.flatnonzero(numbers_of[of_row] >= 0)
    index, keys = dataset.index.take(rows), numbers_of[of_row[rows]]
    unknown = index.frame_counts < 0
    if unknown.any():
        left = videos.firsts[numbers][keys] + counts[keys] - index.starts
        index = replace(index, frame_counts=np.where(unknown, left, index.frame_counts))
        inside = np.flatnonzero(index.frame_counts > 0)
        if len(inside) < len(keys):
            _log.warning(
                "Left out %d rows that begin after the end of their videos.", len(keys) - len(inside)
            )
            index, keys = index.take(inside), keys[inside]
    if index.fps is None and bool((fps > 0).all()):
        index = replace(index, fps=fps[keys])
    if index.times is not None:
        index = replace(index, times=index.times.take(videos.keys[numbers]))
    arrays, labels = Index.columns(replace(index, keys=keys))
    header = {**labels, **more, **meta, "streams": stream_meta(streams)}
    return Columns.pack({**columns, **arrays}, header)

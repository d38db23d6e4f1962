"""`ClipLoader`: makes plan, recipe and engine from a user's options; `serving.batches` serves the batches."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from fastclips.adapters.in_frameworks import InFrameworks
from fastclips.data.dataset import Dataset
from fastclips.data.index import find_runs
from fastclips.data.mixed_storage import part_of
from fastclips.data.video_storage import VideoStorage
from fastclips.engine.clip_spec import ClipSpec
from fastclips.engine.frame_cache import FrameCache
from fastclips.errors import OptionError
from fastclips.options import (
    checked_bool,
    checked_bytes,
    checked_cache,
    checked_choice,
    checked_int,
    checked_workers,
)
from fastclips.pixels.decoding.decoder import FAST_DCT, MAX_PIXELS
from fastclips.pixels.recipe import compile_recipe
from fastclips.planning.choices import split_choices
from fastclips.planning.clips import Videos
from fastclips.planning.draws import Draws
from fastclips.planning.launchers import resolve_rank
from fastclips.planning.per_set import checked_sampler
from fastclips.planning.plan import Plan
from fastclips.planning.weights import clip_chances
from fastclips.serving.batches import Batches
from fastclips.serving.byte_room import find_byte_room
from fastclips.serving.clip_schedule import ClipSchedule
from fastclips.serving.damage import Damage, checked_limit
from fastclips.serving.frame_check import check_frames
from fastclips.serving.frame_places import keep_frames
from fastclips.serving.frame_plan import FramePlan, Room, find_sharing
from fastclips.serving.layout import find_layout
from fastclips.serving.mask_check import warn_of_useless_masks
from fastclips.serving.outputs import Outputs
from fastclips.serving.plan_table import PlanTable
from fastclips.serving.served_labels import ServedLabels
from fastclips.serving.state_parts import parts_of, transforms_part

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from PIL import Image

    from fastclips.data.storage import Storage
    from fastclips.pixels.on import On
    from fastclips.pixels.recipe import GeometryTransform, ViewTransform
    from fastclips.pixels.steps.base import PixelStep
    from fastclips.planning.choices import FrameChoice
    from fastclips.planning.clips import ClipSampler

__all__ = ["ClipLoader"]


class ClipLoader(Batches, InFrameworks):
    """Batches of clips, decoded by worker processes ahead of time, the same batches for the same seed.

    Iterating serves one epoch; iterating again serves the next epoch. A batch is ``x``, ``(x, y)`` or
    ``(x, y, weight)``, of NumPy arrays that you may keep.

    Parameters
    ----------
    dataset : Dataset
        From `fastclips.open`, or a mix of several from `fastclips.mix`.
    clips : ClipSampler, or list of ClipSampler
        How videos are cut into clips: `Windows`, `RandomWindow`, `Segments`, `Views`, or a `ClipSampler` of
        your own. For a mix, a list has one for each set, all with the same time steps.
    transforms : iterable
        Transforms of each clip, in order: geometry, pixel steps, functions of yours (`Apply`), and frame
        choices. `On` restricts a transform to some streams.
    batch_size : int
        Clips in a batch.
    shuffle : bool
        Whether each epoch has a random order of its own, over all clips or within `interleave`. A mix with
        shares needs it.
    interleave : int, optional
        Serve the clips of so many lanes in turn, each of which walks through videos of its own: windows that
        overlap come near each other, so that decoded frames need to be kept for a short time only, and each
        batch still mixes many videos. Take a multiple of ``batch_size // draws_per_clip * world``; more lanes
        mix better, and frames must be kept longer; fewer put neighbouring windows into one batch. At most
        the clips of an epoch, and not with `weights` or shares of a mix. With ``shuffle=False``, each lane
        goes through its part of the clips in order: with ``interleave=batch_size`` (on several ranks
        ``batch_size * world``), row i of a batch goes on in row i of the next, as stateful layers need.
    draws_per_clip : int
        So many consecutive rows show each clip, and differ in the draws of the transforms alone: repeated
        augmentation, in which each frame is read and decoded once for all of them. It divides `batch_size`.
        An epoch is so many times longer.
    drop_last : bool
        Whether an incomplete last batch is left out.
    repeat : bool
        Whether iterating continues with the next epoch, without end.
    seed : int
        Seed of all random numbers, 0 to 2**64 - 1.
    rank, world : int
        This rank, and the number of ranks, each of which reads an equal part of an epoch. ``rank="env"``
        reads both from the environment variables of the launcher. By default rank 0 of 1, with a warning if
        these variables show several ranks. With several ranks and without
        `drop_last`, batches have a weight, float32 (B,), (B, 1) or (B, 1, 1, 1) by the axes of the target.
        It is 0 for clips that only fill the last batch.
    workers : int, optional
        Worker processes; 0 renders in the calling process. By default as many as can run at once: the CPUs
        of the process, at most the quota of its control group (``docker run --cpus=4``), shared with the
        other ranks of the machine if the launcher sets ``LOCAL_WORLD_SIZE`` or its like. The number is fixed
        when the loader is made; `stats` suggests a better one. Batches do not depend on it.
    memory : str or int
        Ceiling for the workers' batches, the cache and bytes of a remote pack that are read ahead, in shared
        memory, such as ``"1GiB"``, or in bytes.
    cache : str, int or FrameCache
        How much of `memory` holds decoded frames that several clips show, so that each is decoded once:
        such as ``"512MiB"``, or bytes; 0 for none; ``"auto"`` is what the batches leave. The plan is known
        ahead, also over the end of an epoch, so only frames that will be shown again take memory. Or a
        `FrameCache` that loaders share, beside `memory`. Has no effect on batches. Nothing is kept of pixels
        that need no decoding; of frames that a clip needs at several DCT scales, for its time steps or
        draws (``dct_scaling=False`` makes it one); and, without a `FrameCache`, with ``workers=0``.
    inputs : str or sequence of str
        Name of a stream or of labels for x; a sequence gives a dict. Further names are ``"valid"``, (B, T)
        bool: False at time steps that repeat a frame as padding; ``"frame_index"``, (B, T) int64: the frames,
        counted as ``frames`` of `plan_table`, where padding repeats the number of its frame;
        ``"timestamp"``, (B, T) float64: their times in seconds from the start of the stored video, which
        needs the videos' frames per second; and ``"video_index"``, (B,) int64: the row of ``dataset.index``.
    targets : str, sequence of str or None
        Name for y as in `inputs`: a stream, labels (``"label"``, or names of the list's or `with_labels`'s);
        a sequence gives a dict. None gives x alone, on several ranks too, without a weight (`plan_table`
        marks the padding). ``"auto"`` is ``"label"`` if the dataset has it, else None.
    sample_weight : array_like, mapping or "valid", optional
        A third part of each batch, float32: (B,) for one label of a clip, (B, T) for labels and targets of
        frames, (B, T, H, W) for masks. An array holds a number for each video. A mapping holds the weights of
        classes (by name, number, or value of the mask); other classes have weight 1. ``"valid"`` is weight 1
        for all. With labels of frames or masks, padded time steps and ignored pixels always have weight 0.
        Numbers for each frame need the shape (frames, 1) or more axes, since losses average the last one.
        With several targets, a mapping of their names to any of these; other targets have weight 1, and 0
        where they are padded or ignored. Only one mask has such weights; others have 1, with a warning.
        Without `sample_weight`, padded time steps and ignored pixels count.
    weights : "balanced", mapping or array_like, optional
        Relative chance of clips to be drawn: ``"balanced"`` draws all classes of ``"label"`` equally often; a
        mapping has a number for each of its classes, an array for each video, which applies to each of its
        clips. An epoch has as many clips as without weights, drawn with replacement. Needs `shuffle`; not
        with shares of a mix, whose weights are those of `fastclips.mix`.
    channels_first : bool
        Whether pictures are (C, H, W) instead of (H, W, C).
    fast_dct : bool
        Whether JPEGs are decoded with libjpeg-turbo's faster, less exact inverse DCT, as TensorFlow does.
        False gives the pixels of Pillow and OpenCV.
    dct_scaling : bool
        Whether JPEGs that the transforms shrink by 2 or more are decoded at 1/2, 1/4 or 1/8 of their size and
        interpolated from there. This is faster, and each pixel is nearly the mean of the pixels it covers,
        while interpolation in the whole frame skips pixels. Crop boxes then move to whole pixels of the
        smaller frame, for masks too. Rotated frames are scaled only if both sides are divisible. Other
        formats, masks and arrays are decoded whole.
    damaged : {"error", "repeat"}
        A frame that cannot be read or decoded raises an error, or is replaced (``"repeat"``) by the nearest
        intact frame of its clip before it, else after it, in all picture streams; masks are `ignore` there. A
        clip without an intact frame is 0. A damaged mask, or one of several channels, is `ignore`, and its
        picture is kept. The headers of a few frames are looked at when the loader is made, with a warning.
        Depth with an `ignore` of its own is treated as a mask, other depth and flow as pictures.
        `loader.damaged` lists such frames. Clips, labels and ``"valid"`` do not change.
    damaged_limit : float or int, optional
        How much may be replaced with ``damaged="repeat"`` before an error stops training: a float is a share
        of the frames served since the epoch began, by default 0.1, and counts from 100 frames on; 1.0 is no
        limit. An int is a number of distinct frames, since the loader was made. A frame of several streams
        counts for each.
    timeout : float, optional
        Seconds that a worker may work on a clip. After that it is killed and replaced, and the clip is
        rendered again. Without it, a worker that hangs (a network file system, a function of yours) is
        waited for; a warning tells what it does after 30 s. Has no effect with ``workers=0``.
    max_deaths : int
        If so many workers have died over a clip, the clip raises an error; with ``damaged="repeat"`` it
        counts as damaged if they crashed (SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE). The loader raises an
        error if, for each worker, more have died without a finished clip.
    max_pixels : int
        Frames of more pixels are an error, before memory is taken for them: a damaged or hostile header may
        say 30,000 x 30,000. The default, 2**25, holds 8K frames.

    Raises
    ------
    OptionError
        If an argument cannot work with this data.
    FrameError
        If the first frame cannot be read; with ``damaged="repeat"``, if none of the first 10,000 can. While
        iterating, if a frame is damaged, or more than `damaged_limit` are.

    Examples
    --------
    >>> dataset = fc.open("frames/")
    >>> transforms = [fc.RandomCrop(32), fc.RandomFlip()]
    >>> with fc.ClipLoader(dataset, fc.Windows(4), transforms, batch_size=8, workers=0) as loader:
    ...     for x, y in loader:
    ...         print(x.shape, x.dtype, y.shape)
    (8, 4, 32, 32, 3) uint8 (8,)
    (8, 4, 32, 32, 3) uint8 (8,)
    (2, 4, 32, 32, 3) uint8 (2,)

    Three lanes in order, each a row of every batch:

    >>> lanes = fc.ClipLoader(dataset, fc.Windows(4), batch_size=3, interleave=3, workers=0)
    >>> table = lanes.plan_table(epoch=0)
    >>> for video, start in zip(table["video"].reshape(-1, 3), table["start"].reshape(-1, 3)):
    ...     print(video, start)
    [0 2 4] [0 0 0]
    [0 2 4] [4 4 4]
    [0 2 4] [8 8 8]
    [1 3 5] [0 0 0]
    [1 3 5] [4 4 4]
    [1 3 5] [8 8 8]

    Two crops of each clip, from frames that are decoded once:

    >>> crops = fc.ClipLoader(
    ...     dataset, fc.Windows(12), [fc.RandomCrop(32)], batch_size=4, draws_per_clip=2, workers=0
    ... )
    >>> crops.plan_table(epoch=0)["video"].tolist()
    [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]

    A state of each frame as an input, and two targets with weights of their own:

    >>> dataset = dataset.with_labels("state", np.zeros((6, 12, 7), np.float32), kind="frame_target")
    >>> dataset = dataset.with_labels("hand", ["left", "right"] * 3, kind="label")
    >>> loader = fc.ClipLoader(
    ...     dataset,
    ...     fc.Windows(4),
    ...     batch_size=8,
    ...     workers=0,
    ...     inputs=("image", "state", "frame_index"),
    ...     targets=("label", "hand"),
    ...     sample_weight={"hand": {"left": 5.0}},
    ... )
    >>> x, y, weight = next(iter(loader))
    >>> x["state"].shape, x["frame_index"][1].tolist(), y["hand"].tolist()
    ((8, 4, 7), [4, 5, 6, 7], [0, 0, 0, 1, 1, 1, 0, 0])
    >>> weight["hand"].tolist(), weight["label"].tolist()
    ([5.0, 5.0, 5.0, 1.0, 1.0, 1.0, 5.0, 5.0], [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    """

    def __init__(
        self,
        dataset: Dataset,
        clips: ClipSampler | Sequence[ClipSampler],
        transforms: Iterable[GeometryTransform | ViewTransform | PixelStep | On | FrameChoice] = (),
        *,
        batch_size: int,
        shuffle: bool = False,
        interleave: int | None = None,
        draws_per_clip: int = 1,
        drop_last: bool = False,
        repeat: bool = False,
        seed: int = 0,
        rank: int | Literal["env"] | None = None,
        world: int | None = None,
        workers: int | None = None,
        memory: str | int = "1GiB",
        cache: str | int | FrameCache = "auto",
        inputs: str | Sequence[str] = "image",
        targets: str | Sequence[str] | None = "auto",
        sample_weight: object = None,
        weights: object = None,
        channels_first: bool = False,
        fast_dct: bool = FAST_DCT,
        dct_scaling: bool = True,
        damaged: Literal["error", "repeat"] = "error",
        damaged_limit: float | None = None,
        timeout: float | None = None,
        max_deaths: int = 3,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        workers = checked_workers(workers, shared=True)
        shared_cache = cache if isinstance(cache, FrameCache) else None
        cache_bytes = checked_cache("auto" if isinstance(cache, FrameCache) else cache, memory)
        if not isinstance(dataset, Dataset):
            raise OptionError(f"dataset={dataset!r}: must be what fastclips.open(folder) returns")
        mixed = dataset.mixed
        clips = checked_sampler(clips, mixed)
        self.dataset, index = dataset, dataset.index
        choices, transforms = split_choices(transforms)
        recipe = compile_recipe(
            transforms, channels_first=channels_first, time_steps=clips.time_steps, dct_scaling=dct_scaling
        )
        self.rank, self.world = resolve_rank(rank, world)
        videos = Videos(index.frame_counts, index.fps, index.names)
        shares = mixed if mixed is not None and mixed.has_shares else None
        chances: Any = weights  # with shares, `Plan` refuses any
        if weights is not None and shares is None:
            chances = clip_chances(weights, dataset, lambda: clips.clips(videos, Draws(0, 0)).video)
        plan = Plan(
            videos,
            clips,
            draws=recipe.draws,
            batch_size=batch_size,
            by_video=recipe.by_video,
            views=recipe.views,
            weights=chances,
            shares=shares,
            choices=choices,
            shuffle=shuffle,
            interleave=interleave,
            draws_per_clip=draws_per_clip,
            drop_last=drop_last,
            seed=seed,
            rank=self.rank,
            world=self.world,
        )
        self.shuffle = plan.shuffle
        fast_dct = checked_bool(fast_dct, "fast_dct")
        described = transforms_part(recipe, fast_dct=fast_dct)  # before a function of the user's is called
        self._labels = ServedLabels(dataset, recipe)
        outputs = Outputs(
            dataset,
            inputs,
            targets,
            sample_weight,
            labels=self._labels,
            marks_padding=self.world > 1 and not drop_last,
        )
        repeats_damaged = checked_choice(damaged, "damaged", ("error", "repeat")) == "repeat"
        limit = checked_limit(damaged_limit, repeats_damaged=repeats_damaged)
        max_pixels = checked_int(max_pixels, "max_pixels", 1, 2**32)
        found = find_layout(
            dataset,
            recipe,
            clips.time_steps,
            plan.batch_size,
            outputs.streams,
            weighting=outputs.weighting,
            passes_damaged=repeats_damaged,
            max_pixels=max_pixels,
        )
        looked = check_frames(dataset, outputs.streams, repeats_damaged=repeats_damaged, stacklevel=2)
        warn_of_useless_masks(dataset, outputs.streams, stacklevel=2)
        _, starts, ends = find_runs(index.keys, index.starts, index.frame_counts).T
        frames = int((ends - starts).sum())
        sharing = None
        if (workers or shared_cache) and cache_bytes != 0:
            sharing = find_sharing(dataset, found.streams, recipe, looked, plan.draws_per_clip)
        kept = places = None
        if shared_cache is not None and sharing is not None:
            kept, places = keep_frames(
                shared_cache,
                dataset,
                found.streams,
                sharing,
                time_steps=clips.time_steps,
                fast_dct=fast_dct,
                max_pixels=max_pixels,
            )
        parts = partial(parts_of, dataset, plan, described, outputs, looked, damaged=damaged)
        schedule = ClipSchedule(plan, dataset, outputs, parts, shares=sharing is not None)
        spec = ClipSpec(
            storage=dataset.storage,
            streams=found.streams,
            recipe=recipe,
            pixel_steps=found.pixel_steps,
            layout=replace(found.slots, ticket_rows=plan.draws_per_clip),
            time_steps=clips.time_steps,
            sizes=found.sizes,
            groups=found.groups,
            fast_dct=fast_dct,
            weighting=outputs.weighting,
            repeats_damaged=repeats_damaged,
            max_pixels=max_pixels,
            shared=None if sharing is None or kept else sharing.layout,
            kept=kept,
            ahead_bytes=find_byte_room(dataset.storage, outputs.streams, schedule) if workers else 0,
        )
        scattered = plan.shuffle and interleave is None and weights is None and plan.shares is None
        overlap = len(plan) * plan.batch_size * clips.time_steps * plan.world > frames
        lanes = min(64, len(index)) if scattered and overlap else 0
        bounds = "memory" if cache_bytes is None else "cache"
        room = Room(frames, bounds, cache_bytes or checked_bytes(memory, "memory"), lanes)
        where, names = dataset.storage.where, outputs.streams
        super().__init__(
            schedule,
            spec,
            workers=workers,
            memory=memory,
            cache=cache_bytes,
            most_frames=frames,
            frame_plan=lambda engine, workers: (
                places
                or (FramePlan(schedule, sharing, engine, workers, room, plan.epochs) if sharing else None)
            ),
            repeat=repeat,
            timeout=timeout,
            max_deaths=max_deaths,
            damage=Damage(
                lambda stream, video, frame: where(names[stream], video, frame),
                clips.time_steps,
                len(names),
                limit,
                partial(_file_of, dataset.storage),
            ),
        )
        self._plan, self._outputs = plan, outputs
        self.channels_first = recipe.channels_first

    def plan_table(self, epoch: int, rank: int | None = None) -> PlanTable:
        """Return the clips of an epoch in served order.

        Parameters
        ----------
        epoch : int
            The epoch, from 0.
        rank : int, optional
            Another rank than this loader's.

        Returns
        -------
        PlanTable
            A mapping of columns, each with one row per clip: ``position``, ``video``, ``start``, ``view``,
            int64; ``padding``, bool; ``set``, int64, of a mix; ``name``, ``label`` and other labels by their
            names, ``frames``, ``paths`` and ``size``. ``start`` and ``frames`` count from the first frame of
            the video's row in ``dataset.index``: if a list has ``start``, frame f is frame
            ``dataset.index.starts[video] + f`` of the folder. ``paths`` are the files of these frames.

        Raises
        ------
        OptionError
            If there is no such epoch or rank.

        Examples
        --------
        >>> loader = fc.ClipLoader(fc.open("frames/"), fc.Windows(4), batch_size=8, workers=0)
        >>> table = loader.plan_table(epoch=0)
        >>> table["start"]
        array([0, 4, 8, 0, 4, 8, 0, 4, 8, 0, 4, 8, 0, 4, 8, 0, 4, 8])
        >>> table["name"][4], table["paths"][4, 0].rpartition("/")[2]
        ('class_0/video_2', 'frame_00005.jpg')
        """
        return PlanTable(self._plan, self.dataset, self._labels, epoch, rank)

    def preview(self, clips: int = 4, epoch: int = 0) -> Image.Image:
        """Draw clips as the model will see them, without effect on the iteration.

        A notebook displays the returned image; ``preview().save("preview.png")`` writes it to a file.

        Parameters
        ----------
        clips : int
            Number of clips, at least 1, from the first of the epoch on; fewer if the epoch has no more.
        epoch : int
            The epoch, from 0.

        Returns
        -------
        PIL.Image.Image
            A contact sheet, RGB, at most 1920 pixels wide. It shows each clip's time steps side by side,
            evenly thinned out if there are many; other streams, masks in colours, flow in hues of its
            directions, and weights of pixels in rows of their own; and the label, the file of the first
            frame, and the frame numbers. A box marks padded time steps. Arrays that are not bytes are
            stretched to the range stated on the sheet.

        Raises
        ------
        OptionError
            If `clips` is below 1, or there is no such epoch.

        Examples
        --------
        >>> loader = fc.ClipLoader(fc.open("frames/"), fc.Windows(4), batch_size=8, workers=0)
        >>> sheet = loader.preview(clips=2)
        >>> sheet.mode, sheet.width
        ('RGB', 860)
        """
        from fastclips.preview.sheet import contact_sheet  # noqa: PLC0415 - not needed for training

        return contact_sheet(self, self._outputs.names, clips, epoch)


def _file_of(storage: Storage, video: int) -> str | None:
    """Return the path of a video's file; None if its frames are not in one file."""
    part, own = part_of(storage, video)
    return part.path(own) if isinstance(part, VideoStorage) else None

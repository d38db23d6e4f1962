"""`ClipLoader`: a user's options become plan, recipe and engine; `serving.batches` serves them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from fastclips.data.index import Dataset
from fastclips.engine.clip_spec import ClipSpec
from fastclips.errors import OptionError
from fastclips.options import checked_bool, checked_choice, checked_workers
from fastclips.pixels.recipe import compile_recipe
from fastclips.planning.choices import split_choices
from fastclips.planning.clips import Videos, checked_sampler
from fastclips.planning.draws import Draws
from fastclips.planning.launchers import resolve_rank
from fastclips.planning.plan import Plan
from fastclips.planning.weights import clip_chances
from fastclips.serving.batches import Batches
from fastclips.serving.clip_schedule import ClipSchedule
from fastclips.serving.layout import find_layout
from fastclips.serving.outputs import Outputs
from fastclips.serving.plan_table import PlanTable
from fastclips.serving.served_labels import ServedLabels

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import tensorflow as tf
    from PIL import Image

    from fastclips.pixels.recipe import GeometryTransform, ViewTransform
    from fastclips.pixels.steps.base import PixelStep
    from fastclips.planning.choices import FrameChoice
    from fastclips.planning.clips import ClipSampler

__all__ = ["ClipLoader"]


class ClipLoader(Batches):
    """Batches of clips, decoded by worker processes ahead of time, the same ones for the same seed.

    Iterating serves one epoch and leaves the loader at the next. A batch is ``x``, ``(x, y)`` or
    ``(x, y, weight)``, of NumPy arrays that may be kept for as long as you like.

    Parameters
    ----------
    dataset : Dataset
        From `fastclips.open`.
    clips : ClipSampler
        Which clips each video gives: `Windows`, `RandomWindow`, `Segments` or `Views`.
    transforms : iterable
        What is done to each clip, in order: geometry, pixel steps, functions of yours (`Apply`), and choices
        of frames.
    batch_size : int
        Clips in a batch.
    shuffle : bool
        Whether each epoch has an order of its own, over all clips.
    drop_last : bool
        Whether a last batch of fewer clips is left out.
    repeat : bool
        Whether iterating goes on with the next epoch, without end.
    seed : int
        Of everything random, 0 to 2**64 - 1.
    rank, world : int
        Which of how many equal parts of each epoch to read; ``rank="env"`` takes both from the launcher's
        environment. With several ranks and not `drop_last`, batches carry a weight, float32 (B,), (B, 1) or
        (B, 1, 1, 1) as the target has axes, which is 0 for the clips that fill up the last batch.
    workers : int, optional
        Worker processes; as many as there are cores by default, which is too many where several ranks share
        a machine; 0 does the work in the caller.
    memory : str or int
        Ceiling for the workers' batches in shared memory, such as ``"1GiB"``, or in bytes.
    inputs : str or sequence of str
        Stream for x; several give a dict. ``"valid"`` is (B, T) bool: which steps show a frame of their own,
        and not one that is repeated as padding.
    targets : str, sequence of str or None
        ``"label"`` or stream for y; several give a dict; None gives x alone, without a weight on several
        ranks too (`plan_table` marks the padding). ``"auto"`` is the label where there is one.
    sample_weight : array_like, mapping or "valid", optional
        A third part of each batch, float32: (B,) for one label of a clip, (B, T) for labels of frames and
        (B, T, H, W) for masks. A number for each video; or a mapping from class (name, number, or value of
        the mask) to its weight, the others weighing 1. ``"valid"`` weighs padding alone, which with labels of
        frames or masks always weighs 0, as does what a mask ignores.
    weights : "balanced", mapping or array_like, optional
        How often each clip is drawn, relative to others: all classes alike; or a number for each class, or
        for each video, that holds for each of its clips. As many clips an epoch as without, drawn with
        replacement; needs `shuffle`.
    channels_first : bool
        Whether pictures are (C, H, W) instead of (H, W, C).
    fast_dct : bool
        Whether JPEGs are decoded with libjpeg-turbo's faster inverse DCT, as TensorFlow does; False gives
        the pixels of Pillow and OpenCV.
    dct_scaling : bool
        Whether JPEGs that the transforms shrink by 2 or more are decoded at a half, a quarter or an eighth
        of their size, and interpolated from there: cheaper, and nearly each pixel's mean over what it covers,
        where interpolating in the whole frame leaves pixels out. Boxes of crops then move to whole pixels of
        the smaller frame, masks' with them. Turned frames are scaled only if both sides divide by as much.
        Other formats, masks and arrays are decoded whole.
    damaged : {"error", "repeat"}
        What becomes of a frame that cannot be read or decoded: an error; or the nearest intact picture of its
        clip before it is repeated, else the one after it, in all pictures alike, and masks are `ignore`
        there; without any, pictures are 0. A damaged mask is `ignore`, its picture stays. `loader.damaged`
        lists such frames. Clips, labels and ``"valid"``, which tells of padding, stay as they are.

    Raises
    ------
    OptionError
        If an argument cannot work with this data.
    FrameError
        If the first frame cannot be read; with ``damaged="repeat"``, if none of the first 10,000 can.

    Examples
    --------
    >>> loader = ClipLoader(dataset, Windows(16), [RandomCrop(224)], batch_size=8)  # doctest: +SKIP
    >>> for x, y in loader:  # doctest: +SKIP
    ...     print(x.shape, y.shape)
    (8, 16, 224, 224, 3) (8,)
    """

    def __init__(
        self,
        dataset: Dataset,
        clips: ClipSampler,
        transforms: Iterable[GeometryTransform | ViewTransform | PixelStep | FrameChoice] = (),
        *,
        batch_size: int,
        shuffle: bool = False,
        drop_last: bool = False,
        repeat: bool = False,
        seed: int = 0,
        rank: int | Literal["env"] = 0,
        world: int | None = None,
        workers: int | None = None,
        memory: str | int = "1GiB",
        inputs: str | Sequence[str] = "image",
        targets: str | Sequence[str] | None = "auto",
        sample_weight: object = None,
        weights: object = None,
        channels_first: bool = False,
        fast_dct: bool = True,
        dct_scaling: bool = True,
        damaged: Literal["error", "repeat"] = "error",
    ) -> None:
        workers = checked_workers(workers)
        if not isinstance(dataset, Dataset):
            raise OptionError(f"dataset={dataset!r}: must be what fastclips.open(folder) returns")
        clips = checked_sampler(clips)
        self.dataset, index = dataset, dataset.index
        choices, transforms = split_choices(transforms)
        recipe = compile_recipe(
            transforms, channels_first=channels_first, time_steps=clips.time_steps, dct_scaling=dct_scaling
        )
        self.rank, self.world = resolve_rank(rank, world)
        videos = Videos(index.frame_counts, index.fps, index.names)
        if weights is not None:
            weights = clip_chances(weights, dataset, lambda: clips.clips(videos, Draws(0, 0)).video)
        plan = Plan(
            videos,
            clips,
            draws=recipe.draws,
            batch_size=batch_size,
            views=recipe.views,
            weights=weights,
            choices=choices,
            shuffle=shuffle,
            drop_last=drop_last,
            seed=seed,
            rank=self.rank,
            world=self.world,
        )
        self.shuffle = plan.shuffle
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
        layout = find_layout(
            dataset,
            recipe,
            clips.time_steps,
            plan.batch_size,
            outputs.streams,
            weighting=outputs.weighting,
            passes_damaged=repeats_damaged,
        )
        streams = {stream.name: stream for stream in dataset.streams}
        spec = ClipSpec(
            storage=dataset.storage,
            streams=tuple(streams[name] for name in outputs.streams),
            recipe=recipe,
            layout=layout,
            time_steps=clips.time_steps,
            fast_dct=checked_bool(fast_dct, "fast_dct"),
            weighting=outputs.weighting,
            repeats_damaged=repeats_damaged,
        )
        where, names = dataset.storage.where, outputs.streams
        schedule = ClipSchedule(plan, dataset, outputs)
        super().__init__(
            schedule,
            spec,
            workers=workers,
            memory=memory,
            repeat=repeat,
            where=lambda stream, video, frame: where(names[stream], video, frame),
        )
        self._plan, self._outputs = plan, outputs

    def plan_table(self, epoch: int, rank: int | None = None) -> PlanTable:
        """Return an epoch's clips in served order.

        Parameters
        ----------
        epoch : int
            Which, from 0.
        rank : int, optional
            Another rank than this loader's.

        Returns
        -------
        PlanTable
            A mapping of columns: ``video``, ``start``, ``paths``, ``size``, ``label``, ``view``, ``padding``
            and more, each with an item for each clip.
        """
        return PlanTable(self._plan, self.dataset, self._labels, epoch, rank)

    def preview(self, clips: int = 4, epoch: int = 0) -> Image.Image:
        """Draw clips as the model will see them; the iteration is not moved.

        A notebook shows what is returned; ``preview().save("preview.png")`` keeps it.

        Parameters
        ----------
        clips : int
            How many, at least 1, the first of the epoch; fewer where it has no more.
        epoch : int
            Which, from 0.

        Returns
        -------
        PIL.Image.Image
            A contact sheet, RGB, at most 1920 pixels wide. Of each clip its steps side by side, evenly
            thinned out where there are many, and in rows of their own other streams, masks in colours, and
            weights of pixels; with its label, the file of its first frame and the numbers of its frames, and
            a frame around steps that are padding. What is not bytes is stretched to the range that the sheet
            says.
        """
        from fastclips.preview.sheet import contact_sheet  # noqa: PLC0415 - training draws nothing

        return contact_sheet(self, self._outputs.names, clips, epoch)

    def to_tf_dataset(self) -> tf.data.Dataset:
        """Return a `tf.data.Dataset` that serves an epoch each time it is iterated.

        Returns
        -------
        tf.data.Dataset
            Of tensors over the loader's own memory: TensorFlow copies no pixels.
        """
        from fastclips.adapters.tf import to_tf_dataset  # noqa: PLC0415 - TensorFlow is an extra

        return to_tf_dataset(self)

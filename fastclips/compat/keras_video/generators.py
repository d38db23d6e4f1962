"""The three generators of clips of video files, and their order, splits and labels."""

from __future__ import annotations

import logging
from inspect import Parameter, Signature, signature
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.compat._base.augmentation import Augmentation
from fastclips.compat._base.cache import KeptArrays
from fastclips.compat._base.folders import checked_fraction
from fastclips.compat._base.iterator import Iterator
from fastclips.compat._base.pictures import checked_channels
from fastclips.compat._base.tickets import DrawLayout
from fastclips.compat._base.videos import Clips
from fastclips.compat._base.warn import warn
from fastclips.compat.keras_video.methods import METHOD_ABS_DIFF, METHOD_OPTICAL_FLOW
from fastclips.compat.keras_video.patterns import find_videos
from fastclips.compat.keras_video.transformation import as_augmentation
from fastclips.compat.keras_video.windows import EVENLY, Windows, file_list, look_up
from fastclips.errors import DataError, OptionError
from fastclips.options import checked_bool, checked_classes, checked_int, checked_size, first_few

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Self

    from numpy.typing import NDArray

    from fastclips.compat._base.iterator import Samples
    from fastclips.compat.keras_video.motion import Motion
    from fastclips.compat.keras_video.render import MovieSpec

__all__ = ["OpticalFlowGenerator", "SlidingFrameGenerator", "VideoFrameGenerator"]

_DRAWS = DrawLayout()
_log = logging.getLogger(__name__)


class _InitSignature:
    """The signature that ``help`` shows: that of ``__init__``, with the base's in place of its ``*args``."""

    def __get__(self, _: object, owner: type) -> Signature:
        shown = [given for given in _parameters(owner.__mro__) if not given.name.startswith("_")]
        return Signature(shown)


def _parameters(classes: Sequence[type]) -> list[Parameter]:
    """Return the parameters of the first ``__init__``, without self."""
    place = next(place for place, cls in enumerate(classes) if "__init__" in vars(cls))
    own = [*signature(classes[place].__init__).parameters.values()][1:]  # type: ignore[misc] # the class's own
    named = {given.name: given for given in own if given.kind is Parameter.KEYWORD_ONLY}
    if len(own) - len(named) != 2 or own[0].kind is not Parameter.VAR_POSITIONAL:  # noqa: PLR2004 - *args, **kwargs
        return own
    passed = _parameters(classes[place + 1 :])
    return [*(given for given in passed if given.name not in named), *named.values()]


class VideoFrameGenerator(Iterator):
    """Batches of clips of frames that are spread evenly over each video, from its first frame to its last.

    Parameters
    ----------
    rescale : float or None
        Factor for pixels, 0 to 255.
    nb_frames : int
        Frames of a clip, T.
    classes : sequence of str, optional
        Names of classes; by default those found.
    batch_size : int
        Clips in a batch; the last batch of an epoch may be smaller.
    use_frame_cache : bool
        Whether decoded clips are kept, resized, as bytes; outside of `memory`:
        ``n * T * height * width * channels`` bytes.
    target_shape : int or (int, int)
        Side, or height and width, of frames.
    shuffle : bool
        Whether each epoch has an order of its own.
    transformation : optional
        Augmentation: `fastclips.compat.ImageDataGenerator`, Keras's own, or another object with their
        ``get_random_transform`` and ``apply_transform``. One draw augments all frames of a clip, as bytes. No
        other option of it applies, such as ``rescale`` or ``preprocessing_function``.
    split_test, split_val : float, optional
        Fractions of each class's videos that are set aside: `split_val` of all, `split_test` of the rest.
    nb_channel : {3, 1}
        RGB or gray.
    glob_pattern : str
        Where the videos are: a pattern of `glob.glob` with ``{classname}`` in place of the class.
    use_headers : bool
        Whether to trust the number of frames in a video's header, which is wrong in some. If frames up to it
        cannot be read, they are counted. False always counts, and reads the file twice.
    seed : int, optional
        0 to 2**32 - 1, for splits, orders and augmentation. By default, 0 for splits, and a seed is drawn for
        the others.
    workers : int, optional
        Worker processes; by default as many as cores; with 0 the caller does the work.
    memory : str or int
        Ceiling for the workers' batches in shared memory.
    split : float, optional
        Old name of `split_val`.

    Attributes
    ----------
    classes, classes_count
        Names of the classes, sorted, and their number.
    files, files_count
        Paths of the videos of this part of the split, class by class, and their number; `validation` and
        `test` are those set aside.
    n, samples, seed, epoch
        As of all iterators: clips in an epoch, the seed in use, the epoch that is served.

    Raises
    ------
    OptionError
        If an argument is out of range.
    DataError
        If no file is found.
    FrameError
        While batches are served: if a video cannot be read.
    ImportError
        If PyAV is not installed.

    Examples
    --------
    >>> train = VideoFrameGenerator(
    ...     glob_pattern="videos/{classname}/*.mp4", batch_size=2, target_shape=(48, 64), workers=0
    ... )
    >>> x, y = next(train)  # or model.fit(train, epochs=10)
    >>> x.shape, y.shape, train.classes
    ((2, 5, 48, 64, 3), (2, 2), ['a', 'b'])
    """

    __signature__ = _InitSignature()
    _given: dict[str, Any]
    _frames_beside = 0  # frames of a clip beyond `nb_frames`

    def __new__(cls, *arguments: object, **options: object) -> Self:
        """Remember the arguments, for the generators of the videos set aside."""
        made = super().__new__(cls)
        made._given = {**dict(zip(_ARGUMENTS, arguments, strict=False)), **options}
        return made

    def __init__(
        self,
        rescale: float | None = 1 / 255.0,
        nb_frames: int = 5,
        classes: Sequence[str] | None = None,
        batch_size: int = 16,
        use_frame_cache: bool = False,
        target_shape: int | tuple[int, int] = (224, 224),
        shuffle: bool = True,
        transformation: Any = None,  # noqa: ANN401 - the user's
        split_test: float | None = None,
        split_val: float | None = None,
        nb_channel: int = 3,
        glob_pattern: str = "./videos/{classname}/*.avi",
        use_headers: bool = True,
        *,
        seed: int | None = None,
        workers: int | None = None,
        memory: str | int = "1GiB",
        split: float | None = None,
        _files: Sequence[str] | None = None,
    ) -> None:
        import fastclips.data.video_files  # noqa: F401, PLC0415 - says at once that PyAV is missing

        if split is not None:
            warn(f"split={split!r}: it is now called split_val", DeprecationWarning)
            split_val = split
        self.nbframe = checked_int(nb_frames, "nb_frames", 1) + self._frames_beside
        self.rescale = 1.0 if rescale is None else float(rescale)
        self.target_shape = checked_size(target_shape, "target_shape")
        self.nb_channel = checked_channels(nb_channel, "nb_channel")
        self.use_frame_cache = checked_bool(use_frame_cache, "use_frame_cache")
        self.use_video_header = checked_bool(use_headers, "use_headers")
        self.transformation = transformation
        self._augmentation = None if transformation is None else as_augmentation(transformation)
        self.glob_pattern = glob_pattern
        found = find_videos(glob_pattern, checked_classes(classes))
        self.classes = sorted(classes or dict.fromkeys(found.values()))
        self.validation: list[str] = []
        self.test: list[str] = []
        self.files: list[str] = list(_files or ())
        if _files is None:
            shares = checked_fraction(split_val, "split_val"), checked_fraction(split_test, "split_test")
            self._divide(found, *shares, seed or 0)
        unknown = [path for path in self.files if path not in found]
        if unknown:
            raise DataError(f"{first_few(unknown)} of {len(self.files)} files do not match {glob_pattern!r}")
        if not self.files:
            raise OptionError(
                f"split_val={split_val!r}, split_test={split_test!r}: leave none of {len(found)} videos to "
                "train on; give smaller ones"
            )
        self._labels = np.array([self.classes.index(found[path]) for path in self.files], np.int64)
        self.files_count, self.classes_count = len(self.files), len(self.classes)
        super().__init__(
            self._cut(),
            batch_size,
            shuffle,
            seed,
            draws=_DRAWS.size,
            workers=workers,
            memory=memory,
        )
        _log.info("%d clips of %d videos of %d classes", self.n, self.files_count, self.classes_count)

    def get_validation_generator(self) -> VideoFrameGenerator:
        """Return a generator of the videos of `split_val`, with all options but the augmentation.

        Raises
        ------
        OptionError
            If no video was set aside.
        """
        return self._other("split_val", self.validation)

    def get_test_generator(self) -> VideoFrameGenerator:
        """Return a generator of the videos of `split_test`, with all options but the augmentation.

        Raises
        ------
        OptionError
            If no video was set aside.
        """
        return self._other("split_test", self.test)

    def _other(self, knob: str, files: list[str]) -> VideoFrameGenerator:
        if not files:
            raise OptionError(
                f"{knob}= set no video aside: each class sets aside its fraction rounded down, so give a "
                "larger one"
            )
        given = {name: value for name, value in self._given.items() if name not in _OWN}
        return type(self)(**given, classes=self.classes, _files=files)

    def _divide(self, found: Mapping[str, str], val: float, test: float, seed: int) -> None:
        """Divide each class's videos among the parts."""
        for name in self.classes:
            files = [path for path in found if found[path] == name]
            if not files:
                warn(f"no video of class {name!r} matches glob_pattern={self.glob_pattern!r}")
            vals = int(val * len(files))
            tests = int(test * (len(files) - vals))
            chosen = np.random.RandomState(seed).permutation(len(files)).tolist()
            for part, places in (
                (self.validation, chosen[:vals]),
                (self.test, chosen[vals : vals + tests]),
                (self.files, chosen[vals + tests :]),
            ):
                part += [files[place] for place in sorted(places)]

    # --- what an Iterator asks for

    def _cut(self) -> Samples:
        """Return the frames of samples: here a clip of each video, whose frames the worker spreads."""
        self._storage = file_list(self.files)
        zeros = np.zeros(len(self.files), np.int64)
        return Clips(np.array([EVENLY]), zeros, np.zeros(self.nbframe, np.int64))

    def _motion(self) -> Motion | None:
        return None

    def draw(self, random: np.random.RandomState, samples: NDArray[np.int64]) -> NDArray[np.float64]:
        """Draw the parameters of clips; for a user's object, the number that seeds it in the worker."""
        if isinstance(self._augmentation, Augmentation):
            return _DRAWS.draw(self._augmentation, random, len(samples), self.target_shape)
        draws = np.zeros((len(samples), _DRAWS.size))
        draws[:, -1] = random.random_sample(len(samples))
        return draws

    def spec(self) -> MovieSpec:
        """Return how a batch is rendered."""
        from fastclips.compat.keras_video.render import MovieSpec  # noqa: PLC0415 - needs PyAV

        shape = (*self.target_shape, self.nb_channel)
        kept = self.use_frame_cache
        return MovieSpec(
            self._storage,
            self.rows,
            self.ticket_dtype,
            shape,
            self.rescale,
            self.use_video_header,
            self._augmentation,
            self._motion(),
            KeptArrays(self.n, (self.nbframe, *shape)) if kept else None,
        )

    def assemble(self, arrays: Mapping[str, NDArray[Any]]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return clips (B, T, H, W, C) and labels (B, classes), one-hot, float32 both."""
        labels = self._labels[self._clips.videos(arrays["samples"])]
        return arrays["x"], np.eye(self.classes_count, dtype=np.float32)[labels]


# Names of the arguments in order, and the options that a generator of videos set aside does not inherit.
_ARGUMENTS = tuple(signature(VideoFrameGenerator.__init__).parameters)[1:]
_OWN = ("classes", "transformation", "split_test", "split_val", "split")


class SlidingFrameGenerator(VideoFrameGenerator):
    """Batches of windows of videos; each window begins one frame after the one before.

    Parameters
    ----------
    rescale, nb_frames, classes, batch_size, use_frame_cache, target_shape, shuffle, transformation,
    split_test, split_val, nb_channel, glob_pattern, use_headers, seed, workers, memory, split
        As for `VideoFrameGenerator`. Frames are counted exactly, whatever `use_headers`: all packets of each
        file are read once, when the generator is made, and decoded if that is not enough (MPEG-4 and H.264 in
        AVI, VP8).
    sequence_time : int or float, optional
        Seconds that a clip covers; by default the whole video.

    Attributes
    ----------
    vid_info : list of dict
        For each clip: ``id``, ``name`` of the file, ``frame_count``, ``frames``, ``fps``.

    Raises
    ------
    OptionError, DataError, ImportError
        As `VideoFrameGenerator`.
    FrameError
        If a video cannot be read.

    Examples
    --------
    >>> windows = SlidingFrameGenerator(
    ...     glob_pattern="videos/{classname}/*.mp4", nb_frames=8, sequence_time=0.4, batch_size=2, workers=0
    ... )
    >>> x, y = next(windows)  # or model.fit(windows, epochs=10)
    >>> x.shape
    (2, 8, 224, 224, 3)
    """

    def __init__(
        self,
        *args: Any,  # noqa: ANN401 - as above
        sequence_time: float | None = None,
        **kwargs: Any,  # noqa: ANN401 - as above
    ) -> None:
        if sequence_time is not None and not sequence_time > 0:
            raise OptionError(f"sequence_time={sequence_time!r}: must be seconds above 0, or None")
        self.sequence_time = sequence_time
        super().__init__(*args, **kwargs)

    def _cut(self) -> Samples:
        self._storage = look_up(self.files, timed=self.sequence_time is not None)
        self._counts, rates = self._storage.frame_counts, self._storage.rates
        self._fps = np.where(rates > 0, rates, np.nan)
        seconds = self.sequence_time
        covered = self._counts if seconds is None else (self._fps * seconds).astype(np.int64)
        return Windows(self._counts, covered, self.nbframe)

    @property
    def vid_info(self) -> list[dict[str, Any]]:
        """The video and the frames of each clip."""
        samples = np.arange(self.n)
        shown = zip(self._clips.videos(samples).tolist(), self.frames(samples), strict=True)
        return [
            {
                "id": sample,
                "name": self.files[file],
                "frame_count": self._counts[file].item(),
                "frames": frames,
                "fps": self._fps[file].item(),
            }
            for sample, (file, frames) in enumerate(shown)
        ]


class OpticalFlowGenerator(VideoFrameGenerator):
    """Batches of the motion from each frame to the next, of frames that are spread over each video.

    Parameters
    ----------
    rescale, classes, batch_size, use_frame_cache, target_shape, shuffle, transformation,
    split_test, split_val, nb_channel, glob_pattern, use_headers, seed, workers, memory, split
        As for `VideoFrameGenerator`.
    nb_frames : int
        Pictures of motion in a clip; one frame more is read.
    method : {METHOD_OPTICAL_FLOW, METHOD_FLOW_MASK, METHOD_DIFF_MASK, METHOD_ABS_DIFF}
        Optical flow in colours; the same as a mask over the mean of the two frames; their difference as a
        mask; their difference.
    flowlevel, iterations, winsize : int
        Farneback's method: levels of the pyramid, iterations per level, and pixels averaged over.

    Raises
    ------
    OptionError, DataError, FrameError, ImportError
        As `VideoFrameGenerator`.

    Examples
    --------
    >>> motion = OpticalFlowGenerator(
    ...     glob_pattern="videos/{classname}/*.mp4", method=METHOD_ABS_DIFF, batch_size=2, workers=0
    ... )
    >>> x, y = next(motion)  # or model.fit(motion, epochs=10)
    >>> x.shape
    (2, 5, 224, 224, 3)
    """

    _frames_beside = 1  # each picture shows the motion to the next frame

    def __init__(
        self,
        *args: Any,  # noqa: ANN401 - as above
        method: int = METHOD_OPTICAL_FLOW,
        flowlevel: int = 3,
        iterations: int = 3,
        winsize: int = 15,
        **kwargs: Any,  # noqa: ANN401 - as above
    ) -> None:
        self.method = checked_int(method, "method", METHOD_OPTICAL_FLOW, METHOD_ABS_DIFF + 1)
        self.flowlevel = checked_int(flowlevel, "flowlevel", 1)
        self.iterations = checked_int(iterations, "iterations", 1)
        self.winsize = checked_int(winsize, "winsize", 1)
        super().__init__(*args, **kwargs)

    def _motion(self) -> Motion:
        from fastclips.compat.keras_video.motion import Motion  # noqa: PLC0415 - imports OpenCV, which is the workers'

        return Motion(self.method, self.flowlevel, self.iterations, self.winsize)

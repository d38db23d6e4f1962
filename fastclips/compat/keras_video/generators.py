"""The generators of keras-video-generators 1.0.14: clips of video files, such as ``class/video.avi``.

::

    from keras_video import VideoFrameGenerator                     what you had
    from fastclips.compat.keras_video import VideoFrameGenerator    what you import

`VideoFrameGenerator` shows frames spread over each video, `SlidingFrameGenerator` windows of it, and
`OpticalFlowGenerator` the motion between frames; names, order and defaults of arguments are the original's.
Video files are read by PyAV (``pip install "fastclips[video]"``), in worker processes. Beside what
`fastclips.compat` says of all generators, this is not as it was:

==================================================  =========================================================
keras-video-generators                              here
==================================================  =========================================================
Sliding: all windows show the same frames           each shows its own, those that ``vid_info`` lists
Sliding: windows of too few frames, steps of 0      the frames of a window lie closer
Sliding: none of a video below ``sequence_time``    one of its whole length
files in the order of the file system               sorted
``target_shape`` is (width, height)                 (height, width), as everywhere in Keras
frames 1, s, 2s, ...: the last may be missed        evenly from the first to the last; the same frames where
                                                    ``nb_frames - 1`` divides an even number of them
a video that is too short is left out silently      its frames are repeated
and so is one that cannot be read                   an error with its path
a last, smaller batch is left out                   served: each clip once in every epoch
augmented after ``rescale``: brightness blackens    as bytes, 0 to 255, as in Keras, and then rescaled
gray weighs red as if it were blue                  0.299 red, 0.587 green, 0.114 blue
flow of rescaled frames is damped to nothing        flow of bytes
its colours are no HSV of floats, and BGR           RGB from 0 to 255, then rescaled; black for equal frames
masks of motion depend on ``rescale``               they are 0 to 1
splits differ from run to run                       the same on every run; `seed` chooses another
``split_test`` without ``split_val`` fails          splits the whole
``get_validation_generator()`` without a split      an error
it forgets ``flowlevel``, ``use_headers``, ...      it has all options but the augmentation
classes are guessed: ``jump`` of ``jump_high``      a file is of the class that found it
``[ab]``, ``?`` and ``**`` fail in patterns         as in `glob`, ``**`` for folders below folders
``classes=`` is sorted in place                     a sorted copy
all frames are kept, whatever ``use_frame_cache``   only if it is True, as bytes, once for all workers;
                                                    else every epoch decodes
nothing found: a warning, and no batches            an error with the pattern
unknown arguments are swallowed                     an error
labels are float64                                  float32
==================================================  =========================================================

Epochs are ordered, and clips augmented, by private generators from `seed`: the same bits for any number of
workers. The original's orders come from NumPy's global generator, across epochs, and are not repeated.
"""

from __future__ import annotations

import logging
import os
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.compat._base.augmentation import PARAMETERS, Augmentation
from fastclips.compat._base.files import FileList
from fastclips.compat._base.iterator import Iterator
from fastclips.compat.keras_video.patterns import find_videos
from fastclips.compat.keras_video.transformation import as_augmentation
from fastclips.compat.keras_video.windows import Windows, look_up
from fastclips.errors import DataError, OptionError
from fastclips.options import checked_bool, checked_classes, checked_int, first_few

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from fastclips.compat.keras_video.motion import Motion
    from fastclips.compat.keras_video.render import MovieSpec
    from fastclips.serving.batches import Planned

__all__ = [
    "METHOD_ABS_DIFF",
    "METHOD_DIFF_MASK",
    "METHOD_FLOW_MASK",
    "METHOD_OPTICAL_FLOW",
    "OpticalFlowGenerator",
    "SlidingFrameGenerator",
    "VideoFrameGenerator",
]

METHOD_OPTICAL_FLOW, METHOD_FLOW_MASK, METHOD_DIFF_MASK, METHOD_ABS_DIFF = 1, 2, 3, 4

_EVENLY = -1  # what a worker takes for frames that are spread over the video
_log = logging.getLogger(__name__)


class VideoFrameGenerator(Iterator):
    """Clips of frames that are spread evenly over each video, from its first to its last.

    Parameters
    ----------
    rescale : float or None
        What pixels, 0 to 255, are multiplied by.
    nb_frames : int
        Frames of a clip, T.
    classes : sequence of str, optional
        Names of classes; those found by default.
    batch_size : int
        Clips in a batch; the last one of an epoch may be smaller.
    use_frame_cache : bool
        Whether resized frames are kept as bytes once they are decoded, outside of `memory`:
        ``n * T * height * width * channels`` bytes.
    target_shape : (int, int)
        Height and width of frames.
    shuffle : bool
        Whether each epoch has an order of its own.
    transformation : optional
        What augments: `fastclips.compat.ImageDataGenerator`, Keras's own, or anything else that has their
        ``get_random_transform`` and ``apply_transform``. Drawn once for a clip, done to every frame of it,
        as bytes; nothing else of it is done, no ``rescale`` and no ``preprocessing_function``.
    split_test, split_val : float, optional
        Shares of each class's videos that are set aside; of those that `split_val` leaves, `split_test`.
    nb_channel : {3, 1}
        RGB or gray.
    glob_pattern : str
        Where the videos are: a pattern of `glob.glob` with ``{classname}`` in place of the class.
    use_headers : bool
        Whether a video's number of frames is what its header says, which is wrong in some; where so many
        cannot be read, they are counted all the same. False counts always, and reads the file twice.
    seed : int, optional
        0 to 2**32 - 1, for splits, orders and augmentation. Without it, one is drawn for the last two.
    workers : int, optional
        Worker processes; as many as there are cores by default; 0 does the work in the caller.
    memory : str or int
        Ceiling for the workers' batches in shared memory.
    split : float, optional
        Old name of `split_val`.

    Attributes
    ----------
    classes, classes_count
        Names of the classes, sorted, and how many.
    files, files_count
        Paths of the videos of this part of the split, class by class, and how many; `validation` and `test`
        are those of the others.
    n, samples, seed, epoch
        As for all generators: clips in an epoch, the seed that is used, the epoch that is served.

    Raises
    ------
    OptionError
        If an argument cannot work.
    DataError
        If no file is found.
    FrameError
        While batches are served: a video cannot be read.
    ImportError
        If PyAV is not installed.

    Examples
    --------
    >>> train = VideoFrameGenerator(glob_pattern="videos/{classname}/*.mp4", split_val=0.2)  # doctest: +SKIP
    >>> model.fit(train, validation_data=train.get_validation_generator(), epochs=10)  # doctest: +SKIP
    """

    def __init__(
        self,
        rescale: float | None = 1 / 255.0,
        nb_frames: int = 5,
        classes: Sequence[str] | None = None,
        batch_size: int = 16,
        use_frame_cache: bool = False,
        target_shape: tuple[int, int] = (224, 224),
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
        _validation_data: Sequence[str] | None = None,
        _test_data: Sequence[str] | None = None,
    ) -> None:
        import fastclips.data.video_files  # noqa: F401, PLC0415 - says at once that PyAV is missing

        self._options: dict[str, Any] = {
            "rescale": rescale,
            "nb_frames": nb_frames,
            "batch_size": batch_size,
            "use_frame_cache": use_frame_cache,
            "target_shape": target_shape,
            "shuffle": shuffle,
            "nb_channel": nb_channel,
            "glob_pattern": glob_pattern,
            "use_headers": use_headers,
            "seed": seed,
            "workers": workers,
            "memory": memory,
        }
        if split is not None:
            _log.warning("split=%r: it is called split_val", split)
            split_val = split
        self.nbframe = checked_int(nb_frames, "nb_frames", 1)
        self.rescale = 1.0 if rescale is None else float(rescale)
        self.target_shape = _checked_shape(target_shape)
        self.nb_channel = checked_int(nb_channel, "nb_channel", 1, 4)
        if self.nb_channel not in (1, 3):
            raise OptionError(f"nb_channel={nb_channel!r}: must be 3, RGB, or 1, gray")
        self.use_frame_cache = checked_bool(use_frame_cache, "use_frame_cache")
        self.use_video_header = checked_bool(use_headers, "use_headers")
        self.transformation = transformation
        self._augmentation = None if transformation is None else as_augmentation(transformation)
        self.glob_pattern = glob_pattern
        found = find_videos(glob_pattern, checked_classes(classes))
        self.classes = sorted(classes or dict.fromkeys(found.values()))
        self.validation: list[str] = []
        self.test: list[str] = []
        given = _validation_data if _validation_data is not None else _test_data
        if given is None:
            self.files: list[str] = []
            self._divide(
                found, _checked_share(split_val, "split_val"), _checked_share(split_test, "split_test")
            )
        else:
            self.files = list(given)
        strangers = [path for path in self.files if path not in found]
        if strangers:
            raise DataError(
                f"{first_few(strangers)} of {len(self.files)} files do not match {glob_pattern!r}"
            )
        if not self.files:
            raise OptionError(
                f"split_val={split_val!r}, split_test={split_test!r} leave nothing of {len(found)} videos"
            )
        self._labels = np.array([self.classes.index(found[path]) for path in self.files], np.int64)
        self.files_count, self.classes_count = len(self.files), len(self.classes)
        super().__init__(
            self._count_samples(),
            batch_size,
            shuffle,
            seed,
            time_steps=self.nbframe,
            draws=len(PARAMETERS) if isinstance(self._augmentation, Augmentation) else 1,
            workers=workers,
            memory=memory,
        )
        _log.info("%d clips of %d videos of %d classes", self.n, self.files_count, self.classes_count)

    def get_validation_generator(self) -> VideoFrameGenerator:
        """Serve what `split_val` set aside, with the same options but for the augmentation.

        Raises
        ------
        OptionError
            If nothing was set aside.
        """
        return self._other("split_val", self.validation, "_validation_data")

    def get_test_generator(self) -> VideoFrameGenerator:
        """Serve what `split_test` set aside, with the same options but for the augmentation.

        Raises
        ------
        OptionError
            If nothing was set aside.
        """
        return self._other("split_test", self.test, "_test_data")

    def _other(self, knob: str, files: list[str], as_what: str) -> VideoFrameGenerator:
        if not files:
            raise OptionError(
                f"{knob}= set no video aside: it takes the whole part of a share of each class's videos, so "
                "give a larger one"
            )
        return type(self)(**{**self._options, "classes": self.classes, as_what: files})

    def _divide(self, found: Mapping[str, str], val: float, test: float) -> None:
        """Divide each class's videos among the parts."""
        for name in self.classes:
            files = [path for path in found if found[path] == name]
            if not files:
                _log.warning("no video of class %r matches %r", name, self.glob_pattern)
            vals = int(val * len(files))
            tests = int(test * (len(files) - vals))
            chosen = np.random.RandomState(self._options["seed"] or 0).permutation(len(files)).tolist()
            for part, places in (
                (self.validation, chosen[:vals]),
                (self.test, chosen[vals : vals + tests]),
                (self.files, chosen[vals + tests :]),
            ):
                part += [files[place] for place in sorted(places)]

    # --- what an Iterator asks for

    def _count_samples(self) -> int:
        return len(self.files)

    def _files_of(self, samples: NDArray[np.int64]) -> NDArray[np.int64]:
        return samples

    def _motion(self) -> Motion | None:
        return None

    def frames(self, samples: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return frames of samples: here that the worker spreads them."""
        return np.full((len(samples), self.nbframe), _EVENLY)

    def draw(self, random: np.random.RandomState, samples: NDArray[np.int64]) -> NDArray[np.float64]:
        """Draw what is done to clips; for a user's object, the number that it is drawn by in the worker."""
        if isinstance(self._augmentation, Augmentation):
            drawn = [self._augmentation.draw(random, *self.target_shape) for _ in samples]
            return np.array(list(map(Augmentation.to_vector, drawn)))
        return random.random_sample((len(samples), 1))

    def _plan(self, epoch: int, batch: int) -> Planned:
        planned = super()._plan(epoch, batch)
        planned.tickets["video"] = self._files_of(planned.tickets["sample"])
        return planned

    def spec(self) -> MovieSpec:
        """Return what workers do."""
        from fastclips.compat.keras_video.render import ClipCache, MovieSpec  # noqa: PLC0415 - needs PyAV

        shape = (*self.target_shape, self.nb_channel)
        cache = None
        if self.use_frame_cache:
            fd, cache = ClipCache.make(self.n, (self.nbframe, *shape))
            weakref.finalize(self, os.close, fd).atexit = False
        return MovieSpec(
            FileList.of(map(os.path.abspath, self.files)),
            self.rows,
            self.nbframe,
            shape,
            self.rescale,
            self.use_video_header,
            self.ticket_dtype["draws"].shape[0],
            self._augmentation,
            self._motion(),
            cache,
        )

    def assemble(
        self, arrays: Mapping[str, NDArray[Any]], rows: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return clips (B, T, H, W, C) and labels (B, classes), one-hot, float32 both."""
        return arrays["image"], np.eye(self.classes_count, dtype=np.float32)[
            self._labels[self._files_of(rows)]
        ]


class SlidingFrameGenerator(VideoFrameGenerator):
    """Windows of videos, each one frame after the one before.

    Parameters
    ----------
    *args, **kwargs
        As for `VideoFrameGenerator`. Frames are counted exactly, whatever `use_headers`, since a window that
        is not there could not be shown: all packets of each file are read once, when this is made, and where
        that does not tell (MPEG-4 and H.264 in AVI, VP8), they are decoded.
    sequence_time : int or float, optional
        Seconds from which a clip's frames are taken.

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
    """

    def __init__(
        self,
        *args: Any,  # noqa: ANN401 - as above
        sequence_time: float | None = None,
        **kwargs: Any,  # noqa: ANN401 - as above
    ) -> None:
        if sequence_time is not None and not sequence_time > 0:
            raise OptionError(
                f"sequence_time={sequence_time!r}: must be a number of seconds above 0, or None"
            )
        self.sequence_time = sequence_time
        super().__init__(*args, **kwargs)
        self._options["sequence_time"] = sequence_time

    def _count_samples(self) -> int:
        self._counts, self._fps = look_up(self.files, timed=self.sequence_time is not None)
        seconds = self.sequence_time
        covered = self._counts if seconds is None else (self._fps * seconds).astype(np.int64)
        self._windows = Windows(self._counts, covered, self.nbframe)
        return len(self._windows)

    @property
    def vid_info(self) -> list[dict[str, Any]]:
        """What each clip shows."""
        samples = np.arange(self.n)
        shown = zip(self._files_of(samples).tolist(), self.frames(samples), strict=True)
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

    def _files_of(self, samples: NDArray[np.int64]) -> NDArray[np.int64]:
        return self._windows.videos(samples)

    def frames(self, samples: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the frames of windows."""
        return self._windows.frames(samples)


class OpticalFlowGenerator(VideoFrameGenerator):
    """The motion from each frame to the next, of frames that are spread over each video.

    Parameters
    ----------
    *args, **kwargs
        As for `VideoFrameGenerator`.
    nb_frames : int
        What is shown of a video; one frame more is read.
    method : {METHOD_OPTICAL_FLOW, METHOD_FLOW_MASK, METHOD_DIFF_MASK, METHOD_ABS_DIFF}
        Optical flow in colours, that as a mask over the mean of the two frames, their difference as a mask,
        or their difference.
    flowlevel, iterations, winsize : int
        Levels of the pyramid, iterations on each, and pixels averaged over, of Farneback's method.

    Raises
    ------
    OptionError, DataError, FrameError, ImportError
        As `VideoFrameGenerator`.
    """

    def __init__(
        self,
        *args: Any,  # noqa: ANN401 - as above
        nb_frames: int = 5,
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
        kwargs["nb_frames"] = checked_int(nb_frames, "nb_frames", 1) + 1
        super().__init__(*args, **kwargs)
        self._options |= {
            "nb_frames": nb_frames,
            "method": method,
            "flowlevel": flowlevel,
            "iterations": iterations,
            "winsize": winsize,
        }

    def _motion(self) -> Motion:
        from fastclips.compat.keras_video.motion import Motion  # noqa: PLC0415 - imports OpenCV, which is the workers'

        return Motion(self.method, self.flowlevel, self.iterations, self.winsize)


def _checked_shape(value: object) -> tuple[int, int]:
    sizes = tuple(value) if isinstance(value, (tuple, list)) else ()
    if len(sizes) != 2:  # noqa: PLR2004 - height and width
        raise OptionError(f"target_shape={value!r}: must be (height, width)")
    return checked_int(sizes[0], "target_shape[0]", 1), checked_int(sizes[1], "target_shape[1]", 1)


def _checked_share(value: float | None, knob: str) -> float:
    if value is None:
        return 0.0
    if isinstance(value, (int, float)) and 0 < value < 1:
        return float(value)
    raise OptionError(f"{knob}={value!r}: must be a share between 0 and 1, or None")

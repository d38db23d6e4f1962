"""The generators of keras-video-generators 1.0.14: clips of video files, such as ``class/video.avi``.

::

    from keras_video import VideoFrameGenerator                     before
    from fastclips.compat.keras_video import VideoFrameGenerator    after

`VideoFrameGenerator` serves frames spread over each video, `SlidingFrameGenerator` windows of it, and
`OpticalFlowGenerator` the motion between frames. Names, order and defaults of arguments are the original's.
PyAV reads video files (``pip install "fastclips[video]"``), in worker processes. What you may notice:

==================================================  =========================================================
keras-video-generators                              here
==================================================  =========================================================
Sliding: all windows show the same frames           each shows its own, as listed in ``vid_info``
Sliding: windows of too few frames, steps of 0      the frames of a window are closer together
Sliding: no window of a video below                 one window of the whole video
``sequence_time``
files in the order of the file system               in alphabetical order
``target_shape`` is (width, height)                 (height, width), as everywhere in Keras
frames 1, s, 2s, ...: the last may be missed        evenly from the first to the last; the same frames if
                                                    ``nb_frames - 1`` divides an even number of them
a video that is too short is left out silently      its frames are repeated
a video that cannot be read is left out silently    an error with its path
a last, smaller batch is left out                   it is served: each clip once per epoch
augmented after ``rescale``: brightness blackens    augmented as bytes, 0 to 255, as in Keras, then rescaled
gray weighs red as if it were blue                  0.299 red, 0.587 green, 0.114 blue
flow of rescaled frames is nearly zero              flow of bytes
flow in wrong colours, as BGR                       RGB from 0 to 255, then rescaled; black for equal frames
masks of motion depend on ``rescale``               they are 0 to 1
splits differ from run to run                       the same in every run; `seed` chooses another
``split_test`` without ``split_val`` fails          splits all videos
``get_validation_generator()`` without a split      an error
it forgets ``flowlevel``, ``use_headers``, ...      it has all options but the augmentation
classes are guessed: ``jump`` for ``jump_high``     the class of a file is the one whose pattern finds it
``[ab]``, ``?`` and ``**`` fail in patterns         as in `glob`, ``**`` for folders in folders
``classes=`` is sorted in place                     a sorted copy
all frames are kept, whatever ``use_frame_cache``   only if it is True, as bytes, once for all workers;
                                                    else every epoch decodes
nothing found: a warning, and no batches            an error with the pattern
unknown arguments are ignored                       an error
labels are float64                                  float32
==================================================  =========================================================

Private generators order epochs and augment clips, from `seed`: the same bits for any number of workers. The
original draws its orders from NumPy's global generator, across epochs; these orders are not reproduced.
"""

from fastclips.compat.keras_video.generators import (
    OpticalFlowGenerator,
    SlidingFrameGenerator,
    VideoFrameGenerator,
)
from fastclips.compat.keras_video.methods import (
    METHOD_ABS_DIFF,
    METHOD_DIFF_MASK,
    METHOD_FLOW_MASK,
    METHOD_OPTICAL_FLOW,
)

__all__ = [
    "METHOD_ABS_DIFF",
    "METHOD_DIFF_MASK",
    "METHOD_FLOW_MASK",
    "METHOD_OPTICAL_FLOW",
    "OpticalFlowGenerator",
    "SlidingFrameGenerator",
    "VideoFrameGenerator",
]

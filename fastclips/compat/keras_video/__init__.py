"""The generators of keras-video-generators 1.0.14, for video files."""

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

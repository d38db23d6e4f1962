"""Methods of `OpticalFlowGenerator`, with the names and numbers of keras-video-generators."""

__all__ = ["METHOD_ABS_DIFF", "METHOD_DIFF_MASK", "METHOD_FLOW_MASK", "METHOD_OPTICAL_FLOW"]

METHOD_OPTICAL_FLOW, METHOD_FLOW_MASK, METHOD_DIFF_MASK, METHOD_ABS_DIFF = 1, 2, 3, 4

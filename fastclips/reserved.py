"""Names that mean something in a batch or a table.

No stream may have a name of `RESERVED`. No label may have one of them, except `LABEL`, or one of `COLUMNS`.
"""

from __future__ import annotations

__all__ = [
    "AUTO",
    "COLUMNS",
    "FRAME_INDEX",
    "LABEL",
    "OF_PLAN",
    "RESERVED",
    "SET",
    "TIMESTAMP",
    "VALID",
    "VIDEO_INDEX",
    "WEIGHT",
]

AUTO = "auto"  # targets: the label if there is one
LABEL = "label"  # target: the dataset's labels
VALID = "valid"  # (B, T) bool: whether a time step shows a frame of its own, not a repeated one
FRAME_INDEX = "frame_index"  # (B, T) int64: frames of the row of the index
TIMESTAMP = "timestamp"  # (B, T) float64: seconds
VIDEO_INDEX = "video_index"  # (B,) int64: row of the index
WEIGHT = "sample_weight"  # field of a slot: weights that workers write
OF_PLAN = (VALID, FRAME_INDEX, TIMESTAMP, VIDEO_INDEX)  # inputs and targets of every dataset
RESERVED = (AUTO, LABEL, *OF_PLAN, WEIGHT)
COLUMNS = (
    "position",
    "video",
    "name",
    "start",
    "view",
    "padding",
    "frames",
    "paths",
    "size",
)  # of a plan table
SET = "set"  # a column more for a mix, where no label may have this name

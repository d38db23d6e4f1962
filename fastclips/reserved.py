"""Names that mean something in a batch, and so cannot be names of streams."""

from __future__ import annotations

__all__ = ["AUTO", "LABEL", "RESERVED", "VALID", "WEIGHT"]

AUTO = "auto"  # targets: the label if there is one
LABEL = "label"  # target: the dataset's labels
VALID = "valid"  # input, (B, T) bool: whether a time step shows a frame of its own, not a repeated one
WEIGHT = "sample_weight"  # field of a slot: weights that workers write
RESERVED = (AUTO, LABEL, VALID, WEIGHT)

"""The import path of 0.1.0 for `fastclips.compat.arrays`."""

from fastclips.compat.arrays import PairedCrops, paired_random_crop

__all__ = ["PairedCrops", "paired_random_crop"]

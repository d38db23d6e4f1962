"""Paired random crops of arrays: `paired_random_crop`."""

from fastclips.compat.arrays.paired import PairedCrops, paired_random_crop

__all__ = ["PairedCrops", "paired_random_crop"]

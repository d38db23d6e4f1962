"""Random crops of images and their masks: `paired_random_crop`, for arrays in memory and in .npy files.

It replaces the generator functions that people write for ``fit_generator``: an endless loop over batches of
two arrays that draws a box and cuts it out of both. Differences from most of these functions:

====================================  =================================================================
they                                  here
====================================  =================================================================
draw samples with replacement         each sample is served once per epoch, in an order of the epoch
leave out the last, smaller batch,    it is served with the remaining samples; ``drop_last=True`` leaves
or serve an empty one                 it out
draw one box per batch                one per sample; ``per="batch"`` draws one per batch
need ``steps_per_epoch``              ``len()`` is the number of batches, so ``fit`` knows it
use NumPy's global generator          each has its own: equal seeds give equal batches
fail in two threads at a time         safe in several threads
can cut mask and image differently    both have one box
====================================  =================================================================
"""

from fastclips.compat.arrays.paired import PairedCrops, paired_random_crop

__all__ = ["PairedCrops", "paired_random_crop"]
